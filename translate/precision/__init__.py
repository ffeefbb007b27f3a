"""Precision: an exported translator in half precision for GPUs, or in 8-bit integers for processors, or nothing at all."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import onnx

from translate.data.layouts import View, pictures, spread
from translate.data.pixels import read
from translate.modelcard import markdown
from translate.precision.half import to_half
from translate.precision.integer import to_integers
from translate.precision.likeness import Feeds, NotAlike, Reference, mean, psnr
from translate.runtime.card import METADATA_KEY, STAGES_KEY, Card, Precision, read_stages
from translate.runtime.errors import TranslateError
from translate.runtime.model import Model
from translate.runtime.noise import draw
from translate.runtime.statistics import to_floats
from translate.stages import plan
from translate.training.checkpoint import write_atomically

__all__ = ["CROP", "FEWEST", "LEAST", "MOST", "NotAlike", "convert", "held_out", "looked_at"]

T = TypeVar("T")

Kind: TypeAlias = Literal["fp16", "int8"]

LEAST = 35.0
"""dB between a converted file's pictures and those of the float32 file, below which it is not written unless told otherwise."""
FEWEST, MOST, CROP = 4, 24, 512
"""Pictures that are looked at, and the side of what is looked at of each."""


def convert(path: Path, out: Path, kind: Kind, folder: Path | None = None, least: float = LEAST) -> Card:
    """Writes the float32 translator at `path` in another precision to `out`, its card for people beside it. Returns its card.

    Every fourth picture of `folder` is held out; the others, if there is need of any (`int8`), are calibrated on. Held-out
    pictures must come out as the float32 file's do: `least` dB PSNR on average. Without `folder` (`fp16`) random pictures must.
    The new card has no metrics: they are another file's.

    Raises `NotAlike` where they do not, and `ValueError` for what is no float32 translator or a folder of too few pictures;
    nothing is written then.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception as error:  # protobuf's errors have no common base
        raise ValueError(f"{path} cannot be read as an .onnx file: {error}") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    with _told_as_values():
        card = Card.from_metadata(metadata, str(path))
        if card.precision is not None:
            raise ValueError(f"{path} is {card.precision.kind} already: give the float32 file that it was made from")
        samples, held = _samples(folder, card)
        pinned = read_stages(metadata, str(path)).names() if card.tiling == "statistics" else set()
        if kind == "int8":
            if folder is None:
                raise ValueError(
                    "int8 is calibrated on pictures such as the translator will be given: name a folder of them (--calibrate)"
                )
            made, layers = to_integers(model, Reference(path, samples), least)
        else:
            made, layers = to_half(model, pinned)
        with tempfile.TemporaryDirectory() as place:
            trial = Path(place) / out.name
            onnx.save_model(made if kind == "int8" else to_half(model, pinned, simulated=True)[0], trial)
            found = psnr(trial, Reference(path, held))
            if not mean(found) >= least:
                raise NotAlike(
                    f"{out.stem} would be {mean(found):.1f} dB from the float32 file, on {_measured_on(folder, len(held))}; "
                    f"{least:g} are asked for, so nothing is written"
                )
            told = Precision(
                kind=kind,
                psnr=round(mean(found), 2),
                worst=round(min(found), 2),
                measured_on=_measured_on(folder, len(held)),
                layers=layers,
            )
            fields = {"name": out.stem, "precision": told, "metrics": {}, "test_set": ""}
            card = Card.model_validate(card.model_dump() | fields)
            if card.tiling == "statistics" and kind == "int8":  # the values that are kept have other names
                metadata[STAGES_KEY] = plan(made, card).model_dump_json()
            onnx.helper.set_model_props(made, metadata | {METADATA_KEY: card.model_dump_json()})
            onnx.checker.check_model(made)
            onnx.save_model(made, trial)
            Model.open(trial)
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, trial.read_bytes())
    write_atomically(out.with_suffix(".md"), markdown(card))
    return card


@contextmanager
def _told_as_values() -> Iterator[None]:
    try:
        yield
    except TranslateError as error:
        raise ValueError(str(error)) from error


def _samples(folder: Path | None, card: Card) -> tuple[Sequence[Feeds], Sequence[Feeds]]:
    """What is calibrated on, and what is held out."""
    if folder is None:
        return [], [_feeds(_random(seed), card, seed) for seed in range(FEWEST)]
    feeds = [_feeds(pixels, card, seed) for seed, pixels in enumerate(looked_at(folder))]
    return [feed for index, feed in enumerate(feeds) if index % FEWEST != FEWEST - 1], held_out(feeds)


def looked_at(folder: Path) -> Iterator[np.ndarray]:
    """The pictures of a folder that a conversion looks at, of large ones the middle."""
    found = spread(pictures(folder), MOST)
    if len(found) < FEWEST:
        raise ValueError(f"{folder} holds {len(found)} pictures: give {FEWEST} at least, such as the translator will be given")
    return (_middle(read(View(path, path.stem))) for path in found)


def held_out(looked_at: Iterable[T]) -> list[T]:
    """Those of them that are not calibrated on."""
    return list(islice(looked_at, FEWEST - 1, None, FEWEST))


def _measured_on(folder: Path | None, count: int) -> str:
    if folder is None:
        return f"{count} random pictures"
    name = folder.resolve().name
    return f"{count} pictures of {name} that were not calibrated on, of large ones the middle {CROP}×{CROP} pixels"


def _feeds(pixels: np.ndarray, card: Card, seed: int) -> Feeds:
    """What a translator is given of a picture in one piece, but for the statistics."""
    feeds = {"image": to_floats(pixels)}
    if card.noise is not None:
        rows, columns = (range(-(-side // card.noise.every)) for side in pixels.shape[:2])
        feeds["noise"] = draw(card.noise, seed, rows, columns)
    return feeds


def _middle(pixels: np.ndarray) -> np.ndarray:
    top, left = (max(0, side - CROP) // 2 for side in pixels.shape[:2])
    return pixels[top : top + CROP, left : left + CROP]


def _random(seed: int) -> np.ndarray:
    """Patches of all colours with grain, so that there is something to see at every scale."""
    rng = np.random.default_rng(seed)
    patches = np.kron(rng.integers(0, 200, (8, 8, 3)), np.ones((24, 24, 1), int))
    return (patches + rng.integers(0, 56, patches.shape)).astype(np.uint8)
