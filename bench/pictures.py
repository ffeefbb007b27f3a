"""The README's pictures: `python -m bench.pictures --data FOLDER --out docs/pictures`.

Damages photographs that no training saw, with fixed seeds, and sets before beside after beside the undamaged original.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from PIL import Image

import translate
from translate.data.damage import Damage
from translate.data.layouts import pictures
from translate.data.paired import read

GAP = 8


def main(
    data: Annotated[Path, typer.Option(help="Folder of clean photographs, of which --only names some")],
    out: Annotated[Path, typer.Option(help="Folder to write into")],
    only: Annotated[list[str] | None, typer.Option(help="name or name:seed of a photograph; all of them by default")] = None,
    model: Annotated[str, typer.Option(help="Translator")] = "restore",
    kind: Annotated[
        Literal["old", "marked", "noise"], typer.Option(help="Everything that ages, marks alone, or noise alone")
    ] = "old",
    side: Annotated[int, typer.Option(help="Largest width and height of each picture, in pixels")] = 448,
) -> None:
    """Write one JPEG per photograph: damaged, restored, original."""
    translator = translate.load(model)
    damage = Damage(untouched=0, noise=kind == "noise", marked=kind == "marked")
    wanted = dict(entry.partition(":")[::2] for entry in only or [])
    out.mkdir(parents=True, exist_ok=True)
    for path in pictures(data):
        if wanted and path.stem not in wanted:
            continue
        photograph = Image.fromarray(read(path))
        photograph.thumbnail((side, side), Image.Resampling.LANCZOS)
        seed = int(wanted.get(path.stem) or 0)
        damaged, clean = damage(np.asarray(photograph), np.random.default_rng(seed))
        before, original = Image.fromarray(damaged), Image.fromarray(clean)
        sheet = Image.new("RGB", (3 * before.width + 2 * GAP, before.height), "white")
        for column, picture in enumerate((before, translator(before), original)):
            sheet.paste(picture, (column * (before.width + GAP), 0))
        sheet.save(out / f"{path.stem}-{seed}.jpg", quality=88)


if __name__ == "__main__":
    typer.run(main)
