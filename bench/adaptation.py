"""A reader of one house's digits for another's: `python -m bench.adaptation --mnist DIR --usps DIR`. Prints Markdown.

CyCADA's protocol (Hoffman et al. 2018, section 4.1): a classifier learns from *translated* source digits, with the source's
labels, and is tested on the target's own test set. Neither the translators nor the classifier see a label of the target.
Beside it stand a classifier that learned from the source as it is, one that learned from the target, how the latter reads
translated digits, and how many classes it mostly reads as themselves: a translator without labels may exchange some. Runs are
kept below `--work`, so that a bench that was stopped goes on where it stood; and there lie, for `translate-eval --classifier`,
those that learned from a target, and the test digits of each, sorted.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import onnxruntime
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bench.gan.runs import spread, table
from bench.reader import SIZE, Reader
from bench.resumed import begun
from translate.cli.export import export_run
from translate.data.generative import Pictures, mnist
from translate.data.pixels import scaled
from translate.runtime.card import Card
from translate.runtime.threads import usable_cpus
from translate.training.environment import processor
from translate.training.run import train

PAPER = {"MNIST → USPS": (0.822, 0.956), "USPS → MNIST": (0.696, 0.964)}
"""CyCADA's table 1: from the source as it is, and with its pixel-level translation."""


class House(NamedTuple):
    """Digits of one origin, of 32×32 pixels in -1..1."""

    learned: Pictures
    test: Pictures


class Scores(NamedTuple):
    """Of one translator."""

    learned: float
    """Accuracy on the target's test set of who learned from translated digits."""
    read: float
    """That of who learned from the target, on translated test digits."""
    kept: int
    """Classes whose translated test digits the latter mostly reads as themselves."""


def main(
    mnist_folder: Annotated[Path, typer.Option("--mnist", help="Folder with MNIST's four files")],
    usps_folder: Annotated[Path, typer.Option("--usps", help="Folder with zip.train.gz and zip.test.gz")],
    recipes: Annotated[list[str] | None, typer.Option("--recipe", help="By default digits-cyclegan and digits-dualgan")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each system")] = 3,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the recipes")] = None,
    work: Annotated[Path, typer.Option(help="Folder for pictures and runs")] = Path("runs/bench-adaptation"),
) -> None:
    """Translate MNIST into USPS and back, and print who reads what."""
    print(f"Machine: {processor()}, {usable_cpus()} CPUs, torch {torch.__version__}.\n")
    files = {"MNIST": _mnist_files(mnist_folder), "USPS": _usps_files(usps_folder)}
    _write_pictures(work / "pictures", [files["MNIST"]["train"][0], files["USPS"]["train"][0]])
    _write_tests(work / "test", files)
    houses = {name: House(*(_enlarged(*parts[split]) for split in ("train", "test"))) for name, parts in files.items()}

    @cache  # wanted after the first run alone, so that one that was stopped goes on at once
    def reader(name: str) -> Reader:
        trained = Reader.trained(houses[name].learned)
        trained.write(work / f"{name}.onnx")
        return trained

    ways = {"MNIST → USPS": ("MNIST", "USPS"), "USPS → MNIST": ("USPS", "MNIST")}
    found: dict[str, dict[str, list[Scores]]] = {}
    for recipe in recipes or ["digits-cyclegan", "digits-dualgan"]:
        found[recipe] = {way: [] for way in ways}
        for seed in range(1, seeds + 1):
            exported = _trained(recipe, seed, settings or [], work)
            for (way, (source, target)), path in zip(ways.items(), exported, strict=True):
                scores = _scores(path, houses[source], houses[target], reader(target))
                found[recipe][way].append(scores)
                print(f"<!-- {path.parent.name}, {way}: {scores.learned:.4f}, {scores.read:.4f}, {scores.kept} -->", flush=True)
    for way, (source, target) in ways.items():
        rows: list[Sequence[object]] = [
            ("the source as it is", reader(source).accuracy(houses[target].test), "", "", PAPER[way][0]),
            *((recipe, *_told(scores[way]), PAPER[way][1]) for recipe, scores in found.items()),
            ("the target itself", reader(target).accuracy(houses[target].test), "", "", ""),
        ]
        read = "translated digits, read by the target's"
        head = (f"{way}: learned from", "accuracy on the target", read, "classes kept, seed by seed", "CyCADA's")
        table(f"{way}, median of {seeds} seeds (least–most)", head, rows)


def _scores(path: Path, source: House, target: House, reader: Reader) -> Scores:
    learned = Pictures(_translated(path, source.learned.pictures), source.learned.classes)
    test = Pictures(_translated(path, source.test.pictures), source.test.classes)
    mostly = (int(reader.read(test.pictures[test.classes == label]).mode().values) == label for label in test.classes.unique())
    return Scores(Reader.trained(learned).accuracy(target.test), reader.accuracy(test), sum(map(bool, mostly)))


def _told(scores: Sequence[Scores]) -> tuple[str, str, str]:
    learned, read, kept = zip(*scores, strict=True)
    return spread(learned), spread(read), ", ".join(map(str, kept))


def _trained(recipe: str, seed: int, settings: list[str], work: Path) -> tuple[Path, Path]:
    """The exported translators, there and back."""
    run = begun(recipe, work / "pictures", work / f"{recipe}-{seed}", [*settings, f"seed={seed}"])
    train(run, lambda *_: None)
    name = run.recipe.name
    there, back = (run.folder / f"{way}.onnx" for way in (name, run.recipe.back or f"{name}-back"))
    if not back.is_file():
        export_run(run.folder)
    return there, back


def _translated(path: Path, pictures: Tensor) -> Tensor:
    """`[N, 1, 32, 32]` in -1..1, through the exported file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    card = Card.from_metadata(session.get_modelmeta().custom_metadata_map, str(path))
    shapes = {given.name: given.shape for given in session.get_inputs()}
    # Each picture by its own statistics, as one that is not cut into tiles
    fixed = {name: np.zeros(shapes[name], np.float32) for name in ("statistics", "given") if name in shapes}
    rng, parts = np.random.default_rng(0), []
    for part in pictures.split(256):
        given = {"image": (part.permute(0, 2, 3, 1).numpy() / 2 + 0.5).repeat(3, axis=3).astype(np.float32)} | fixed
        if card.noise is not None:
            side = -(-SIZE // card.noise.every)
            given["noise"] = rng.uniform(-1, 1, (len(part), side, side, card.noise.channels)).astype(np.float32)
        (out,) = session.run(["translated"], given)
        parts.append(torch.from_numpy(out[..., :1] * 2 - 1).permute(0, 3, 1, 2))
    return torch.cat(parts)


def _enlarged(pictures: NDArray[np.uint8], classes: NDArray[np.int64]) -> Pictures:
    """As training scales them."""
    larger = np.stack([scaled(picture[..., None], SIZE)[..., 0] for picture in pictures])
    return Pictures(torch.from_numpy(larger[:, None]).float() / 127.5 - 1, torch.from_numpy(classes))


def _write_pictures(folder: Path, sides: Sequence[NDArray[np.uint8]]) -> None:
    """Digits without their classes, as anybody's two folders: trainA and trainB."""
    for name, pictures in zip(("trainA", "trainB"), sides, strict=True):
        place = folder / name
        if (place / f"{name[-1]}{len(pictures) - 1:05d}.png").is_file():
            continue
        place.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures):
            # Names of one side are none of the other, where equal names would be pairs
            Image.fromarray(picture).save(place / f"{name[-1]}{number:05d}.png")


def _write_tests(folder: Path, files: Mapping[str, "Files"]) -> None:
    """Of each house, in a folder for each class."""
    for name, parts in files.items():
        pictures, classes = parts["test"]
        if (folder / name / str(classes[-1]) / f"{len(pictures) - 1:05d}.png").is_file():
            continue
        for number, (picture, label) in enumerate(zip(pictures, classes, strict=True)):
            place = folder / name / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(place / f"{number:05d}.png")


Files = Mapping[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]


def _mnist_files(folder: Path) -> Files:
    found = {split: mnist(folder, held=split == "test") for split in ("train", "test")}
    # Without the border of 2 pixels, which is padding
    return {
        split: (((part.pictures[:, 0, 2:-2, 2:-2] + 1) * 127.5).round().byte().numpy(), part.classes.numpy())
        for split, part in found.items()
    }


def _usps_files(folder: Path) -> Files:
    found = {}
    for split in ("train", "test"):
        path = folder / f"zip.{split}.gz"
        if not path.is_file():
            raise SystemExit(f"{path} is not there: USPS as zip.train.gz and zip.test.gz is needed")
        rows = np.loadtxt(path, dtype=np.float32)
        pictures = ((rows[:, 1:].reshape(-1, 16, 16) + 1) * 127.5).round().astype(np.uint8)
        found[split] = (pictures, rows[:, 0].astype(np.int64))
    return found


if __name__ == "__main__":
    typer.run(main)
