"""translate-data: what is wrong with pictures before they are trained on, and pairs made ready for it."""

import json as jsonlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from translate.cli.needs import train_extra

if TYPE_CHECKING:
    from translate.data.audit import Report

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

SHOWN = 3
"""Pictures that are named for each finding; `--json` names all."""


class Kind(StrEnum):
    aligned = "aligned"
    unpaired = "unpaired"
    photographs = "photographs"


class Maps(StrEnum):
    a = "a"
    b = "b"
    both = "both"


@app.command()
def audit(
    data: Annotated[Path, typer.Argument(help="Folder of pictures, or a list of pairs, as for translate-train --data")],
    kind: Annotated[Kind | None, typer.Option(help="What the two sides are; by default, pairs where most names agree")] = None,
    source: Annotated[str, typer.Option(help="Folder in DATA to translate from, as data.source of a recipe")] = "",
    target: Annotated[str, typer.Option(help="Folder in DATA to translate into, as data.target")] = "",
    joined: Annotated[bool, typer.Option("--joined", help="Pictures hold source and target side by side")] = False,
    target_first: Annotated[bool, typer.Option("--target-first", help="The target comes first, as data.target_first")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines, with every picture's name")] = False,
) -> None:
    """Look at every picture before training on them. Exits with 1 where training would break, or its measures mean nothing.

    translate-data audit facades/ --target-first

    translate-data audit photographs/ --json > report.json
    """
    with train_extra():
        from translate.data.audit import audit as look
        from translate.data.audit import find

    console = Console(stderr=True)
    with _told(console), _bar(console) as tell:
        report = look(data, *find(data, kind.value if kind else None, source, target, joined, target_first), tell)
    if json:
        typer.echo(jsonlib.dumps(asdict(report) | {"sound": report.sound}, ensure_ascii=False, indent=1))
    else:
        _show(report)
    if not report.sound:
        raise typer.Exit(1)


@app.command()
def pair(
    a: Annotated[Path, typer.Argument(help="Folder of sources")],
    b: Annotated[Path, typer.Argument(help="Folder of their targets, of the same names; suffixes may differ")],
    out: Annotated[Path, typer.Argument(help="Folder to create")],
    size: Annotated[int, typer.Option(help="Scale the shorter side to so many pixels; 0: as they are", min=0)] = 0,
    joined: Annotated[bool, typer.Option("--joined", help="One picture for each pair, the source on the left")] = False,
    maps: Annotated[Maps | None, typer.Option(help="Sides that are label maps: their colours are not mixed")] = None,
    val: Annotated[float, typer.Option(help="Share of the pairs for validation", min=0, max=1)] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the pairs for a test", min=0, max=1)] = 0,
) -> None:
    """Make one folder to train on out of two folders of partners: of one size, joined if wanted, and split.

    translate-data pair photographs/ drawings/ pairs/ --size 286

    translate-train pix2pix.toml --data pairs/ --out runs/drawings
    """
    with train_extra():
        from translate.data.pairing import Pairing

    console = Console(stderr=True)
    with _told(console), _bar(console) as tell:
        splits = Pairing(size, joined, maps.value if maps else "", val, test).write(a, b, out, tell)
    told = ", ".join(f"{count} to {split}" for split, count in splits.items())
    console.print(f"wrote {out}: {told}", highlight=False, markup=False, soft_wrap=True)


def _show(report: "Report") -> None:
    console = Console()
    table = Table("split", "side", "pictures", "width", "height", "pixels", title=escape(f"{report.layout}: {report.kind}"))
    for row in report.rows:
        sizes = (
            f"{least}" if least == most else f"{least} to {most}, half ≤ {mid}" for least, mid, most in (row.width, row.height)
        )
        modes = ", ".join(mode if len(row.modes) == 1 else f"{count}× {mode}" for mode, count in row.modes.items())
        table.add_row(row.split, row.side, str(row.count), *sizes, modes)
    console.print(table)
    for finding in sorted(report.findings, key=lambda finding: not finding.breaks):
        level = "[red]error[/]" if finding.breaks else "[yellow]warning[/]"
        console.print(f"{level}: {finding.says} ({len(finding.where)})", highlight=False)
        more = len(finding.where) - SHOWN
        for line in (*finding.where[:SHOWN], *([f"and {more} more (--json names them)"] if more > 0 else [])):
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if not report.findings:
        console.print("nothing to complain of")


@contextmanager
def _told(console: Console) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (ValueError, OSError) as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[int, int], None]]:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.0f} per s"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task, began = progress.add_task("", total=None, rate=0.0), time.monotonic()

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, rate=done / max(time.monotonic() - began, 1e-3))

        yield tell
