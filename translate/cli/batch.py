"""`translate-batch`: pictures of a folder, one picture, or a pipe, through a translator."""

import json
import shlex
import signal
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Annotated, Literal

import typer

from translate.cli.progress import Display
from translate.runtime import cluster
from translate.runtime.batch import refuse_blend, run
from translate.runtime.errors import JobRefused, JobStopped, TranslateError
from translate.runtime.job import Job, Settings, prepare
from translate.runtime.journal import Record
from translate.runtime.model import Model, draw_seed
from translate.runtime.picture import FORMATS, Picture
from translate.runtime.plan import refuse_contradiction, some
from translate.runtime.store import Store

EXAMPLES = """
[bold]Examples[/bold]

translate-batch scans/ restored/

translate-batch scans/ restored/ --resume

translate-batch scans/ half/ --amount 0.5 --compare --format png

translate-batch scan.tif restored.tif

translate-batch - - < scan.jpg > restored.jpg

RAY_ADDRESS=auto translate-batch /shared/scans /shared/restored --engine ray

Exit codes: 0 all done, 1 something failed or was refused, 2 wrong usage, 130 and 143 stopped by Ctrl-C and SIGTERM.
"""

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


def _format(text: str) -> str:
    for name, format in FORMATS.items():
        if text.upper() == name or f".{text.lower().removeprefix('.')}" in format.suffixes:
            return name
    raise typer.BadParameter(f"{text!r} is not one of {', '.join(FORMATS)}")


@app.command(epilog=EXAMPLES)
def batch(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A folder (with all its subfolders), a picture, or - for stdin.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A folder beside it, a picture's new name, or - for stdout.")],
    model: Annotated[str | None, typer.Option(help="Name or .onnx file. Default: restore.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a job; its options need not be told again.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew, over what is in OUT.")] = False,
    amount: Annotated[float | None, typer.Option(help="From 0, the original, to 1. Default: 1.", min=0, max=1)] = None,
    format: Annotated[str | None, typer.Option(help="jpeg, png, webp, tiff or bmp. Default: as IN.", parser=_format)] = None,
    quality: Annotated[int | None, typer.Option(help="Of JPEG and WebP. Default: as IN.", min=1, max=100)] = None,
    suffix: Annotated[str | None, typer.Option(help="Added to names, before the dot.")] = None,
    seed: Annotated[int | None, typer.Option(help="For models with noise. Default: drawn.", min=0, max=2**64 - 1)] = None,
    compare: Annotated[bool | None, typer.Option("--compare", help="Before | after as well, in OUT.compare.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:<index>, openvino or openvino-bf16. Default: cpu.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Threads that decode and encode: 2. With ray, processes: one for each CPU.", min=1)
    ] = None,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="This process, or Ray Data on one machine or many.")] = "local",
    report: Annotated[Path | None, typer.Option(help="JSON lines. Default for folders: OUT.report.jsonl.")] = None,
    journal: Annotated[Path | None, typer.Option(help="What --resume reads. Default: OUT.journal.jsonl.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
) -> None:
    """Translates the pictures of a folder, one picture, or a pipe. Keeps size, bits, EXIF, colour profile and dates."""
    given = Settings(model, device, format, quality, suffix, amount, seed, compare)
    display = Display()
    try:
        if "-" in (str(source), str(target)):
            if resume or compare or report or journal or dry_run or suffix or engine != "local":
                options = "--resume, --compare, --suffix, --report, --journal, --dry-run and --engine"
                raise JobRefused(f"a pipe takes one picture: {options} are for files")
            code = _pipe(source, target, given, overwrite, display)
        else:
            job = prepare(source, target, given, resume=resume, overwrite=overwrite, journal=journal)
            code = _dry_run(job) if dry_run else _folder(job, engine, jobs, report, display)
    except BrokenPipeError:
        raise  # typer's to end quietly
    except (TranslateError, OSError) as error:
        display.say(f"Error: {error}")
        code = 1
    raise typer.Exit(code)


def _folder(job: Job, engine: Literal["local", "ray"], jobs: int | None, told: Path | None, display: Display) -> int:
    report = told or (job.target.with_name(f"{job.target.name}.report.jsonl") if job.journal else None)
    due = report is not None and (bool(job.todo) or not report.exists())
    records, began = job.records(), time.monotonic()
    if not job.plan.items:
        display.say(f"warning: {job.source} holds no pictures")
    for output in job.changed():
        display.say(f"warning: {output} has been changed since it was written; it is left alone")
    stop, signals, error = Event(), list[int](), None
    if job.todo:
        ended = _begin(job, engine, jobs, stop, display)
        if report:
            _try_out(report)
        with _stopping(stop, signals), display.following(len(job.todo)):
            try:
                for record in ended:
                    records[record.source] = record
                    display.ended(record)
            except JobStopped as stopped:
                error = str(stopped)
    summary = _summary(job, records, time.monotonic() - began)
    if report and due:
        try:
            _write_report(report, records, summary)
        except OSError as unwritten:
            error = error or f"the report {report} could not be written: {unwritten.strerror}"
    _tell(records, summary, report, display)
    if error:
        display.say(f"Error: {error}")
    if summary["left"] and job.journal:
        display.say(f"Go on with: {_resume_hint(job, engine, told)}")
    if signals and summary["left"]:
        return 128 + signals[0]
    return 1 if error or summary["failed"] else 0


def _begin(
    job: Job, engine: Literal["local", "ray"], jobs: int | None, stop: Event, display: Display
) -> Generator[Record, None, None]:
    """The records as pictures end. What is missing, or no model, is refused here."""
    if engine == "ray":
        return cluster.run(job, jobs=jobs, stop=stop)
    translator = Model.open(job.model, device=job.settings.device or "cpu")
    return run(job, translator, jobs=jobs or 2, stop=stop, progress=display.share)


def _try_out(report: Path) -> None:
    """Better an error now than after a night's work."""
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.open("a").close()
    except OSError as error:
        raise JobRefused(f"the report {report} cannot be written: {error.strerror}. Place it with --report") from error


def _write_report(report: Path, records: dict[str, Record], summary: dict[str, str | int | float]) -> None:
    lines = [*(records[name].line() for name in sorted(records)), {"summary": summary}]
    report.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _summary(job: Job, records: dict[str, Record], seconds: float) -> dict[str, str | int | float]:
    counts = {status: sum(r.status == status for r in records.values()) for status in ("done", "failed", "skipped")}
    left = sum(item.name not in records for item in job.todo)
    places = {"source": str(job.source), "target": str(job.target), "model": job.settings.model or "", "sha256": job.sha256}
    return {**places, **counts, "left": left, "seconds": round(seconds, 3)}


def _tell(records: dict[str, Record], summary: dict[str, str | int | float], report: Path | None, display: Display) -> None:
    for status in ("skipped", "failed"):
        if names := [record.source for record in records.values() if record.status == status]:
            display.say(f"{status}: {some(sorted(names))}")
    counts = ", ".join(f"{summary[key]} {key}" for key in ("done", "failed", "skipped", "left"))
    display.say(f"{counts} in {summary['seconds']:.1f} s" + (f"; report: {report}" if report else ""))


def _resume_hint(job: Job, engine: Literal["local", "ray"], report: Path | None) -> str:
    words = ["translate-batch", str(job.source), str(job.target), "--resume"]
    if job.journal and job.journal != job.target.with_name(f"{job.target.name}.journal.jsonl"):
        words += ["--journal", str(job.journal)]
    if engine != "local":
        words += ["--engine", engine]
    return shlex.join(words + (["--report", str(report)] if report else []))


@contextmanager
def _stopping(stop: Event, signals: list[int]) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the job in order, the second at once."""

    def caught(number: int, _: object) -> None:
        signals.append(number)
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    before = {number: signal.signal(number, caught) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dry_run(job: Job) -> int:
    for item in job.todo:
        print(_printable(f"{item.source} -> {item.output}"))
    for record in job.records().values():
        if record.status != "done":
            print(_printable(f"{job.source / record.source}: {record.status}, {record.reason}"))
    print(f"{len(job.todo)} of {len(job.plan.items)} pictures to do; nothing has been written")
    return 0


def _pipe(source: Path, target: Path, given: Settings, overwrite: bool, display: Display) -> int:
    """One picture. Nothing but its bytes goes to stdout."""
    if source.is_dir():
        raise JobRefused(f"{source} is a folder: only one picture goes through a pipe")
    if str(target) == "-" and sys.stdout.isatty():
        raise JobRefused("a picture is not written to a terminal: say OUT, or > FILE")
    if str(target) != "-":
        refuse_contradiction(target, given.format)
        if target.exists() and not overwrite:
            raise JobRefused(f"{target} is there already: give another name, or replace it by --overwrite")
    translator = Store().load(given.model or "restore", device=given.device or "cpu")
    refuse_blend(translator.card, given.amount)
    seed = draw_seed() if given.seed is None else given.seed
    amount = 1.0 if given.amount is None else given.amount
    picture = Picture.open(sys.stdin.buffer.read() if str(source) == "-" else source)

    def progress(done: int, total: int) -> None:
        display.share(str(source), done / total)

    with display.following(1):
        picture = translator(picture, seed=seed, amount=amount, consume=True, progress=progress)
    if str(target) == "-":
        sys.stdout.buffer.write(picture.encode(given.format, given.quality))
        sys.stdout.buffer.flush()
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(target, format=given.format, quality=given.quality)
    for warning in picture.warnings:
        display.say(f"warning: {warning}")
    if translator.card.noise:
        display.say(f"seed: {seed}")
    return 0


def _printable(text: str) -> str:
    """Names need not be UTF-8."""
    return text.encode(errors="backslashreplace").decode()
