"""What a job is told and what it may touch: everything that is settled, or refused, before the first picture is opened."""

import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from translate.runtime.errors import JobRefused
from translate.runtime.journal import Past, Record, read_journal, stamp
from translate.runtime.noise import draw_seed
from translate.runtime.picture import FORMATS
from translate.runtime.plan import Item, Plan, plan_file, plan_folder, some
from translate.runtime.store import Store, digest


@dataclass(frozen=True)
class Settings:
    """What decides the outputs' bytes. None: not told, so as it was when the job began, or the default."""

    model: str | None = None
    """Name or path; default `restore`."""
    device: str | None = None
    """`cpu` (default), or another that `Model.open` knows."""
    format: str | None = None
    """A name of `FORMATS`; default: each picture's own."""
    quality: int | None = None
    """1 to 100; default: each picture's own."""
    suffix: str | None = None
    """Added to each output's name, before the dot."""
    amount: float | None = None
    """0 (the original) to 1 (default)."""
    seed: int | None = None
    """For models with noise; default: drawn."""
    compare: bool | None = None
    """Whether side-by-side pictures are written as well."""


_DEFAULTS: dict[str, Any] = {"model": "restore", "device": "cpu", "suffix": "", "amount": 1.0, "compare": False}


@dataclass(frozen=True)
class Job:
    """A job about to run: see `prepare`."""

    source: Path
    target: Path
    settings: Settings
    model: Path
    sha256: str
    plan: Plan
    todo: list[Item]
    past: Past | None
    journal: Path | None
    """None for a single picture: it is written whole or not at all."""
    overwrite: bool

    @property
    def header(self) -> dict[str, Any]:
        """The journal's first line."""
        settings = {name: value for name, value in asdict(self.settings).items() if value is not None}
        return {"source": os.path.realpath(self.source), "sha256": self.sha256, "settings": settings}

    def records(self) -> dict[str, Record]:
        """What is settled before it runs: pictures done earlier, and strays."""
        todo = {item.name for item in self.todo}
        past = self.past.records if self.past and not self.overwrite else {}
        done = {name: record for name, record in past.items() if record.status == "done" and name not in todo}
        return done | {s.name: Record(s.name, "failed" if s.failed else "skipped", reason=s.reason) for s in self.plan.strays}

    def strangers(self, item: Item) -> list[str]:
        """Files in the picture's way. They are the job's own if it had started on them, or if they still are what it wrote."""
        if self.overwrite or (self.past and item.name in self.past.started):
            return []
        record = self.past.records.get(item.name) if self.past else None
        own = record.wrote if record else []
        return [str(path) for path in item.outputs if (now := stamp(path)) and now not in own]

    def changed(self) -> list[str]:
        """Outputs of an earlier run that somebody has changed since. They are left alone."""
        done = self.records()
        return [
            str(path)
            for item in self.plan.items
            if item.name in done
            for path, wrote in zip(item.outputs, done[item.name].wrote, strict=True)
            if stamp(path) != wrote
        ]


def prepare(
    source: Path,
    target: Path,
    given: Settings | None = None,
    *,
    store: Store | None = None,
    resume: bool = False,
    overwrite: bool = False,
    journal: Path | None = None,
) -> Job:
    """Settles what there is to do. Writes nothing.

    `source` is a folder or a picture. `resume` goes on with an earlier job in `target`, or begins one; what is not told is
    taken from its journal. `overwrite` begins anew, over the outputs of an earlier one. The journal lies beside `target`
    unless told.

    Raises `JobRefused` wherever originals, a stranger's files, or the outputs of another job would be mixed up, and
    `ModelNotFound`.
    """
    given, store, target = given or Settings(), store or Store(), Path(os.path.abspath(target))  # noqa: PTH100 (links stay)
    if resume and overwrite:
        raise JobRefused("--resume goes on, --overwrite begins anew: choose one")
    if source.is_dir():
        journal = journal or target.with_name(f"{target.name}.journal.jsonl")
        past = _past(journal, target, resume, overwrite)
    elif source.is_file():
        if resume:
            raise JobRefused(f"{source} is a single picture, written whole or not at all: run it again without --resume")
        if journal:
            raise JobRefused(f"{source} is a single picture: only a folder's job keeps a journal; leave --journal out")
        past = None
    else:
        raise JobRefused(f"{source} is no folder and no file")
    settings = _settle(given, past if resume else None)
    model = store.path(settings.model or "")
    plan = _plan(source, target, settings)
    job = Job(source, target, settings, model, digest(model), plan, plan.items, past, journal, overwrite)
    if resume and past:
        _refuse_differences(job, past)
        job = replace(job, todo=[item for item in plan.items if not _is_done(item, past)])
    if strangers := [path for item in job.todo for path in job.strangers(item)]:
        raise JobRefused(f"{some(strangers)}: there already, and not this job's. Move them away, or replace them by --overwrite")
    return job


def _past(journal: Path, target: Path, resume: bool, overwrite: bool) -> Past | None:
    if target.exists() and not target.is_dir():
        raise JobRefused(f"{target} is a file, but a folder's translations need a folder")
    if overwrite:
        return None
    past = read_journal(journal)
    if past and not resume:
        raise JobRefused(
            f"{journal} tells of an earlier job: go on with it by --resume, begin anew over it by --overwrite, or choose "
            f"another folder than {target}"
        )
    return past


def _settle(given: Settings, past: Past | None) -> Settings:
    told = {name: value for name, value in asdict(given).items() if value is not None}
    if told.get("format") not in (None, *FORMATS):
        raise JobRefused(f"unknown format {told['format']!r}: choose one of {', '.join(FORMATS)}")
    if not 0 <= told.get("amount", 1) <= 1:
        raise JobRefused(f"amount {told['amount']} is not between 0 and 1")
    if not 1 <= told.get("quality", 100) <= 100:
        raise JobRefused(f"quality {told['quality']} is not between 1 and 100")
    if {"/", os.sep} & set(told.get("suffix", "")):
        raise JobRefused(f"suffix {told['suffix']!r} would lead into another folder: it goes before the dot of each name")
    if past is None:
        return Settings(**{"seed": draw_seed(), **_DEFAULTS, **told})
    begun = past.header["settings"]
    known = {option.name for option in fields(Settings)} - {"model"}
    _refuse(
        [f"{name} {begun.get(name)!r}, not {told[name]!r}" for name in sorted(known & set(told)) if told[name] != begun.get(name)]
    )
    return Settings(**{**begun, **told})


def _refuse_differences(job: Job, past: Past) -> None:
    differences = []
    if past.header["sha256"] != job.sha256:
        differences.append(f"another model than {job.model} is now (SHA-256 {past.header['sha256'][:12]}…)")
    if past.header["source"] != job.header["source"]:
        differences.append(f"pictures from {past.header['source']}, not {job.source}")
    _refuse(differences)


def _refuse(differences: list[str]) -> None:
    if differences:
        raise JobRefused(f"the job was begun with {'; '.join(differences)}. Go on as it began, or choose another output folder")


def _plan(source: Path, target: Path, settings: Settings) -> Plan:
    suffix, compare = settings.suffix or "", bool(settings.compare)
    if source.is_file():
        return plan_file(source, target, compare=compare, format=settings.format, suffix=suffix)
    beside = target.with_name(f"{target.name}.compare") if compare else None
    return plan_folder(source, target, compare=beside, format=settings.format, suffix=suffix)


def _is_done(item: Item, past: Past) -> bool:
    record = past.records.get(item.name)
    return (
        record is not None
        and record.status == "done"
        and record.read == stamp(item.source)
        and all(path.exists() for path in item.outputs)
    )
