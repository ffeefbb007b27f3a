"""The docs' pictures of translators: `python -m bench.translations MODEL DATA --out FILE`.

A row for each picture: the source, its translation (with noise: several), and its partner where it has one. DATA is what
`translate-eval` measures on, taken by the same options, so that what is seen is what is measured.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from torch import Tensor

import translate
from translate.data.layouts import spread
from translate.data.pixels import Pixels
from translate.evaluation.cases import find, shown

GAP = 4


def main(
    model: Annotated[str, typer.Argument(help="Name or .onnx file of a translator")],
    data: Annotated[Path, typer.Argument(help="A folder in any layout that is trained from, or of sources")],
    out: Annotated[Path, typer.Option(help="The picture that is written")],
    sources: Annotated[bool, typer.Option("--sources", help="DATA holds sources alone")] = False,
    target_first: Annotated[bool, typer.Option("--target-first", help="The target is on the left, or A, or trainA")] = False,
    holdout: Annotated[float, typer.Option(min=0, max=1, help="Only what training with this data.holdout left out")] = 0.0,
    size: Annotated[int, typer.Option(min=0, help="Scale the shorter side, cut the middle square")] = 128,
    count: Annotated[int, typer.Option(min=1, help="Pictures, spread over the data")] = 8,
    only: Annotated[list[str] | None, typer.Option(help="Name of a picture to show, in place of --count")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Translations of each, with seeds from 0")] = 1,
    columns: Annotated[int, typer.Option(min=1, help="Pictures beside each other")] = 2,
    enlarge: Annotated[int, typer.Option(min=1, help="Pixels shown of each pixel")] = 1,
) -> None:
    """Write a sheet of sources, translations and partners."""
    translator = translate.load(model)
    cases = list(find(data, alone=sources, target_first=target_first, holdout=holdout, size=size, scale=translator.card.scale))
    chosen = [case for case in cases if case.name in only] if only else spread(cases, count)
    if not chosen:
        raise typer.BadParameter(f"{data} has no picture of these names, but such as {cases[0].name!r}")
    rows = []
    for case in chosen:
        row = [_eight_bits(shown(case.source))]
        source = Image.fromarray(row[0])
        for seed in range(samples):
            row.append(np.asarray(translator(source, seed=seed if translator.card.noise else None).convert("RGB")))
        if case.target is not None:
            row.append(_eight_bits(case.target))
        rows.append(_apart(row, axis=1, gap=GAP))
    rows += [np.full_like(rows[0], 255)] * (-len(rows) % columns)
    beside = [_apart(rows[at : at + columns], axis=1, gap=4 * GAP) for at in range(0, len(rows), columns)]
    sheet = Image.fromarray(_apart(beside, axis=0, gap=GAP))
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.resize((sheet.width * enlarge, sheet.height * enlarge), Image.Resampling.NEAREST).save(out, quality=88)


def _eight_bits(picture: Tensor) -> Pixels:
    return np.ascontiguousarray((picture[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))


def _apart(pictures: list[Pixels], axis: int, gap: int) -> Pixels:
    shape = list(pictures[0].shape)
    shape[axis] = gap
    between = np.full(shape, 255, np.uint8)
    parts = [part for picture in pictures for part in (between, picture)][1:]
    return np.concatenate(parts, axis=axis)


if __name__ == "__main__":
    typer.run(main)
