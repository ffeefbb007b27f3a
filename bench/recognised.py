"""What translations are taken for: `python -m bench.recognised DATA --there MODEL --back MODEL`. Prints Markdown.

Of two kinds of pictures without pairs nobody knows what a translation should look like. So a small classifier learns to tell the
two kinds apart, from the pictures that a training with this `data.holdout` learned from, and is asked about those that it left
out: as they are, and translated. Below `--work` it lies as .onnx, beside the lists that `translate-eval --classifier --labels`
takes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image

import translate
from bench.gan.runs import table
from bench.reader import Reader
from translate.data import unpaired
from translate.data.generative import Pictures
from translate.data.layouts import View, recognise
from translate.data.pixels import middle, read, scaled, to_tensor
from translate.metrics.networks import Exported
from translate.runtime.threads import usable_cpus
from translate.training.environment import processor

SIZE = 64
"""Of the classifier's pictures."""
CROPS = 4000
"""Of each kind, from which the classifier learns."""


def main(
    data: Annotated[Path, typer.Argument(help="Two kinds of pictures, in any layout that is trained from")],
    there: Annotated[str, typer.Option(help="Name or .onnx file of the translator of the first kind into the second")],
    back: Annotated[str, typer.Option(help="That of the way back")],
    holdout: Annotated[float, typer.Option(min=0, max=1, help="data.holdout of their training")] = 0.1,
    size: Annotated[
        int, typer.Option(min=SIZE, help="Of the pictures that are translated: shorter side scaled, middle cut")
    ] = 128,
    crops: Annotated[int, typer.Option(min=1, help="Crops of each kind that the classifier learns from")] = CROPS,
    work: Annotated[Path, typer.Option(help="Folder for the classifier and the lists")] = Path("runs/bench-recognised"),
) -> None:
    """Print how often pictures and translations are taken for the second kind's."""
    print(f"Machine: {processor()}, {usable_cpus()} CPUs, torch {torch.__version__}.\n")
    domains = unpaired.find(data, recognise(data), holdout)
    held = [list(side) for side in domains.held]
    if not all(held):
        raise SystemExit(f"{data}: holdout = {holdout} leaves nothing out to ask about")
    reader = learned(domains, crops, work / "classifier.onnx")
    rows: list[Sequence[object]] = []
    for kind, (model, views) in enumerate(zip((there, back), held, strict=True)):
        translator = translate.load(model)
        right = [[taken(reader, x) == 1 - kind for x in (picture, translator(picture))] for picture in fitted(views, size)]
        rows.append((translator.card.name, len(views), *(f"{share:.3f}" for share in np.mean(right, axis=0))))
        lines = (f"{view.name},{1 - kind}\n" for view in views)
        (work / f"{translator.card.name}.csv").write_text("".join(lines), encoding="utf-8")
    table("Held-out pictures that are taken for the target's", ("translator", "pictures", "as they are", "translated"), rows)


def learned(domains: unpaired.Domains, crops: int, path: Path) -> Exported:
    """The classifier that has learned from so many crops of each kind, and lies at `path`."""
    Reader.trained(_crops(domains, crops)).write(path)
    return Exported(path)


def _crops(domains: unpaired.Domains, count: int) -> Pictures:
    """Of each kind `count`, augmented as in training."""
    drawn = unpaired.Unpaired(domains.learned, size=SIZE, load=SIZE * 9 // 8)
    drawn.preload()
    pairs = [drawn[index] for index in range(count)]
    pictures = torch.stack([picture for pair in pairs for picture in (pair.x, pair.y)])
    return Pictures(pictures, torch.arange(2).repeat(count))


def fitted(views: Sequence[View], size: int) -> Iterator[Image.Image]:
    """Pictures as they are translated: of `size`, cut from the middle."""
    for view in views:
        yield Image.fromarray(middle(scaled(read(view), size), size))


def taken(reader: Exported, picture: Image.Image) -> int:
    """For which kind, by the file, as `translate-eval` asks it."""
    return int(reader(to_tensor(np.asarray(picture.convert("RGB")))[None] / 2 + 0.5).argmax())


if __name__ == "__main__":
    typer.run(main)
