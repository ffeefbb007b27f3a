"""Exported files in another precision, in the place of the float32 ones."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import typer

Finish = Callable[[Path], Path]
"""Makes another file of an exported one, or leaves it."""


def converted(
    exported: Callable[[Path | None, Finish], list[Path]],
    target: Path | None,
    precision: Literal["fp16", "int8"],
    pictures: Path | None,
    least: float | None,
) -> list[Path]:
    """Files in another precision, and their cards, all of them or none. The float32 files that they are made of are not kept."""
    from translate.precision import LEAST, convert
    from translate.training.checkpoint import write_atomically

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"

        def finish(path: Path) -> Path:
            assert target is not None
            if made.exists() and pictures is not None:
                raise ValueError(
                    "the run holds two translators, each for pictures of its own: export them without --precision, and then each "
                    "file: translate-export NAME.onnx --precision … --calibrate DIR"
                )
            # Of two translators the second is named by the exporter
            new = made / (path.name if path.parent == Path(folder) else target.name)
            card = convert(path, new, precision, pictures, LEAST if least is None else least)
            assert card.precision is not None
            typer.echo(
                f"{new.stem}: {card.precision.psnr:.1f} dB from float32 ({card.precision.worst:.1f} at worst), on "
                f"{card.precision.measured_on}; {card.precision.layers}; {path.stat().st_size} -> {new.stat().st_size} bytes",
                err=True,
            )
            return new

        written = exported(None if target is None else Path(folder) / target.name, finish)
        assert target is not None
        for file in sorted(made.iterdir()):
            write_atomically(target.parent / file.name, file.read_bytes())
    return [target.with_name(path.name) for path in written]
