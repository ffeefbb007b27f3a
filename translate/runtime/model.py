"""Model: a translator, ready to run. Picture in, picture out, at bounded memory."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Semaphore
from typing import BinaryIO, Self, TypeAlias, overload

import numpy as np
import onnxruntime as ort
from PIL import Image

from translate.runtime.card import LUMINANCE, Card, read_stages
from translate.runtime.errors import InvalidModel, PictureTooLarge, TranslationFailed
from translate.runtime.graph import read_metadata
from translate.runtime.noise import draw, draw_seed
from translate.runtime.picture import Picture
from translate.runtime.sessions import Session, refuse_two_runtimes, start
from translate.runtime.statistics import Feeds, Floats, Statistics, to_floats
from translate.runtime.threads import usable_cpus
from translate.runtime.tiles import Grid, Pixels, Span, side_beside
from translate.runtime.together import MOST, Together

__all__ = ["WHOLE_LIMIT", "Model", "draw_seed", "read_card"]

Source: TypeAlias = Picture | str | Path | bytes | BinaryIO
Progress = Callable[[int, int], None]

WHOLE_LIMIT = 2048 * 2048
"""Most pixels of a picture that a model with `tiling` `whole` is given; it may need a kilobyte or more for each."""


class Model:
    """An exported translator: a session, its `card`, and tiles. Several threads may share one."""

    def __init__(self, session: Session, card: Card, at_once: int = 1, statistics: Statistics | None = None) -> None:
        self.card = card
        self._session = session
        self._statistics = statistics
        self._unmeasured = statistics.none if statistics else {}
        # More tiles at once than there are CPUs for them would be no faster, and each takes up to 0.7 GB
        self._turns = Semaphore(at_once)

    @classmethod
    def open(cls, path: str | Path, *, device: str = "cpu", threads: int | None = None) -> Self:
        """Opens an `.onnx` file.

        `device` is `cpu`, `cuda` or `cuda:<index>`, or, for the processor by OpenVINO, `openvino` or `openvino-bf16`. `threads`
        is the number of CPU threads that work on one tile, by default all that this process may use; so many tiles are worked on
        at once as there are CPUs for. On CUDA, tiles of one shape that come at the same moment go through as a batch. Raises
        `InvalidModel` if the file is no translator, and `DeviceUnavailable` if the device is not to be had: a model never runs
        elsewhere than it was told.
        """
        refuse_two_runtimes()
        cpus = usable_cpus()
        threads = threads or cpus
        at_once = max(1, cpus // threads)
        opened = start(Path(path), device, threads, at_once)
        if device.startswith("cuda"):
            opened, at_once = Together(opened), MOST
        contents = read_metadata(Path(path))
        card = Card.from_metadata(contents, str(path))
        _check_signature(opened, card, str(path))
        statistics = None
        if card.tiling == "statistics":
            part = partial(start, device=device, threads=threads, at_once=at_once)
            count = next(value.shape[1] for value in opened.get_inputs() if value.name == "statistics")
            statistics = Statistics(Path(path).read_bytes(), read_stages(contents, str(path)), card.stride, count, part)
        return cls(opened, card, at_once, statistics)

    @overload
    def __call__(
        self,
        picture: Image.Image,
        *,
        seed: int | None = None,
        amount: float = 1.0,
        consume: bool = False,
        progress: Progress | None = None,
    ) -> Image.Image: ...

    @overload
    def __call__(
        self,
        picture: Source,
        *,
        seed: int | None = None,
        amount: float = 1.0,
        consume: bool = False,
        progress: Progress | None = None,
    ) -> Picture: ...

    def __call__(
        self,
        picture: Source | Image.Image,
        *,
        seed: int | None = None,
        amount: float = 1.0,
        consume: bool = False,
        progress: Progress | None = None,
    ) -> Picture | Image.Image:
        """Translates a picture; a path, bytes or a file is opened first. A PIL image comes back as a PIL image.

        `seed`, 0 to 2⁶⁴ − 1, makes a model with noise repeatable (draw one with `draw_seed`); others ignore it. `amount`, 0 to 1,
        blends with the original; at 0 the picture comes back as it was. `consume` lets the result take the picture's memory:
        the picture given must not be used afterwards, not even after an error. `progress(done, total)` is called after each tile.

        Raises `PictureTooLarge` if the model cannot work in tiles and the picture is too large for one piece,
        `TranslationFailed` if the model yields no picture, `ValueError` for a seed or an amount out of range, and what
        `Picture.open` raises.
        """
        if not 0 <= amount <= 1:
            raise ValueError(f"amount {amount} is not between 0 and 1")
        if amount < 1 and self.card.scale > 1:
            raise ValueError(
                f"{self.card.name} enlarges pictures, so its result cannot be blended with the original: leave amount at 1"
            )
        if isinstance(picture, Image.Image):
            return self._translate(Picture.from_pil(picture), seed, amount, True, progress).to_pil()
        if not isinstance(picture, Picture):
            picture, consume = Picture.open(picture), True
        return self._translate(picture, seed, amount, consume, progress)

    def _translate(self, picture: Picture, seed: int | None, amount: float, consume: bool, progress: Progress | None) -> Picture:
        source, scale = picture.pixels, self.card.scale
        in_place = consume and scale == 1 and source.flags.writeable
        if amount == 0:
            return picture.with_pixels(source if in_place else source.copy(), alpha=picture.alpha)
        grid = self._grid(picture.height, picture.width, source.nbytes)
        target = source if in_place else np.empty((picture.height * scale, picture.width * scale, source.shape[2]), source.dtype)
        seed = draw_seed() if seed is None else seed
        given = self._unmeasured
        total, done = len(grid), 0

        def step() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, total)

        if self._statistics is not None and len(grid) > 1:
            side = self._side(source.nbytes)
            total += self._statistics.steps(picture.height, picture.width, side)
            noise = partial(self._noise, seed)
            given = self._statistics.measure(source, side, noise, self._run, step)
            self._refuse_no_numbers(given["statistics"])
        for row, column, window in grid.windows(source):
            last_of_many = 1 < total == done + 1
            feeds = {"image": to_floats(window), **self._noise(seed, row, column), **given}
            translated = self._translated(feeds, row, column, free_memory=last_of_many)
            kept = translated[_kept(row, scale), _kept(column, scale)]
            self._refuse_no_numbers(kept)
            original = window[_kept(row, 1), _kept(column, 1)] if amount < 1 else None
            target[_core(row, scale), _core(column, scale)] = _to_pixels(kept, source, original, amount)
            step()
        return picture.with_pixels(target, alpha=_enlarge(picture.alpha, scale))

    def _grid(self, height: int, width: int, nbytes: int) -> Grid:
        if self.card.tiling != "whole":
            return Grid.cut(height, width, reach=self.card.reach, stride=self.card.stride, side=self._side(nbytes))
        if height * width > WHOLE_LIMIT:
            raise PictureTooLarge(
                f"{self.card.name} must see a picture in one piece, and takes at most {WHOLE_LIMIT / 1e6:.1f} megapixels; "
                f"this one is {width} x {height}: make it smaller"
            )
        return Grid.whole(height, width)

    def _side(self, nbytes: int) -> int:
        """Of the tiles of a picture that takes so many bytes."""
        return side_beside(nbytes) if self._statistics is None else side_beside(nbytes, self._statistics.bytes_per_pixel)

    def _noise(self, seed: int, row: Span, column: Span) -> Feeds:
        if self.card.noise is None:
            return {}
        every = self.card.noise.every
        rows, columns = (range(axis.start // every, -(-axis.stop // every)) for axis in (row, column))
        return {"noise": draw(self.card.noise, seed, rows, columns)}

    def _translated(self, feeds: Feeds, row: Span, column: Span, *, free_memory: bool) -> Floats:
        """The network's answer to one tile: float32 `[s·H, s·W, 3]`."""
        (translated,) = self._run(self._session, ["translated"], feeds, free_memory)
        expected = (1, len(row) * self.card.scale, len(column) * self.card.scale, 3)
        if translated.shape != expected:
            raise InvalidModel(
                f"{self.card.name} answered {len(column)} x {len(row)} pixels with {translated.shape}, not {expected}"
            )
        result: Floats = translated[0]
        return result

    def _run(self, session: Session, targets: list[str], feeds: Feeds, free_memory: bool = False) -> list[Floats]:
        options = ort.RunOptions()
        if free_memory:
            # Encoding a large picture needs memory itself; small pictures follow one another faster without this
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            with self._turns:
                answers: list[Floats] = session.run(targets, feeds, options)
        except Exception as error:  # the runtime's errors have no common base
            sizes = ", ".join(f"{name} {feed.shape}" for name, feed in feeds.items())
            raise TranslationFailed(f"{self.card.name} failed on a tile, {sizes}: {error}") from error
        return answers

    def _refuse_no_numbers(self, values: Floats) -> None:
        if not np.isfinite(values).all():
            raise TranslationFailed(f"{self.card.name} computed values that are no numbers: its weights are damaged")


def read_card(path: Path) -> Card:
    """Reads a translator's card without making it ready to run. Raises `InvalidModel`."""
    return Card.from_metadata(read_metadata(path), str(path))


def _kept(span: Span, scale: int) -> slice:
    """The core, within the tile's own pixels."""
    return slice((span.core_start - span.start) * scale, (span.core_stop - span.start) * scale)


def _core(span: Span, scale: int) -> slice:
    """The core, within the picture."""
    return slice(span.core_start * scale, span.core_stop * scale)


def _to_pixels(translated: Floats, source: Pixels, original: Pixels | None, amount: float) -> Pixels:
    """Floats 0..1 `[H, W, 3]` to the source's depth and channels, rounded half up."""
    peak = np.iinfo(source.dtype).max
    values = (translated if source.shape[2] == 3 else _luminance(translated)) * np.float32(peak)
    if original is not None:
        values = original + np.float32(amount) * (values - original)
    values += 0.5
    return np.clip(values, 0, peak, out=values).astype(source.dtype)


def _luminance(colours: Floats) -> Floats:
    red, green, blue = np.split(colours, 3, axis=2)
    # Not the weighted sum, which three equal numbers would not leave as they are
    grey: Floats = green + np.float32(LUMINANCE[0]) * (red - green) + np.float32(LUMINANCE[2]) * (blue - green)
    return grey


def _enlarge(alpha: Pixels | None, scale: int) -> Pixels | None:
    if alpha is None or scale == 1:
        return alpha
    size = (alpha.shape[1] * scale, alpha.shape[0] * scale)
    enlarged = np.asarray(Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    return np.clip(enlarged + 0.5, 0, np.iinfo(alpha.dtype).max).astype(alpha.dtype)


def _check_signature(session: Session, card: Card, where: str) -> None:
    """Raises `InvalidModel` unless inputs and outputs are those that the card promises."""
    inputs, outputs = {"image": "[N, H, W, 3]"}, {"translated": "[N, H, W, 3]"}
    if card.noise is not None:
        inputs["noise"] = f"[N, H, W, {card.noise.channels}]"
    if card.tiling == "statistics":
        inputs |= {"statistics": "[1, S, 2]", "given": "[]"}
        outputs["own"] = "[N, S, 2]"
    for kind, promised, found in (("input", inputs, session.get_inputs()), ("output", outputs, session.get_outputs())):
        if {node.name for node in found} != set(promised):
            names = ", ".join(node.name for node in found)
            raise InvalidModel(f"{where}: its {kind}s are {names}, but its card promises {', '.join(promised)}")
        for node in found:
            wanted = [size for size in promised[node.name][1:-1].split(", ") if size]
            fits = node.type == "tensor(float)" and len(node.shape) == len(wanted)
            if not fits or not all(_fits(size, told) for size, told in zip(node.shape, wanted, strict=True)):
                free = " with N, H and W free" if "H" in wanted else ""
                raise InvalidModel(
                    f"{where}: {kind} {node.name} is {node.type} {node.shape}, not float32 {promised[node.name]}{free}"
                )


def _fits(size: object, told: str) -> bool:
    """Whether a dimension is as it was told: a letter of N, H, W for any size, S for a fixed one, or a number."""
    if told in "NHW":
        return not isinstance(size, int)
    return isinstance(size, int) if told == "S" else size in (int(told), None)
