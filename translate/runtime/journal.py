"""The journal of a folder job: append-only JSON lines, on disk before the job goes on, so that a killed job can be resumed."""

import errno
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Self

from translate.runtime.errors import JobRefused

FORMAT = 1

Stamp = tuple[int, int]
"""Size in bytes and modification time in ns: a file whose stamp is the same is taken to be the same."""


def stamp(path: Path) -> Stamp | None:
    """None where there is no such file. Raises `OSError` where it cannot be asked for."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Record:
    """What became of one file. `source` and `output` are paths below the two folders."""

    source: str
    status: Literal["done", "failed", "skipped"]
    output: str | None = None
    reason: str | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    bits: int | None = None
    format: str | None = None
    seed: int | None = None
    """Where the model has noise: gives the same picture again."""
    read: Stamp | None = None
    """The source's stamp before it was read."""
    wrote: list[Stamp] = field(default_factory=list)
    """The stamps of the files that were written, as in `Item.outputs`."""

    def line(self) -> dict[str, Any]:
        """For the report: what is known, without the stamps."""
        return {k: v for k, v in asdict(self).items() if v is not None and k not in ("read", "wrote")}


@dataclass(frozen=True)
class Past:
    """What a journal tells. `started`: not done since. `length`: bytes up to the end of its last whole line."""

    header: dict[str, Any]
    started: frozenset[str]
    records: dict[str, Record]
    length: int


def read_journal(path: Path) -> Past | None:
    """None where no job got as far as a whole first line; a half-written last line is left out.

    Raises `JobRefused` where it is something else than a journal.
    """
    try:
        whole = path.read_bytes().rpartition(b"\n")[0]
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not whole:
        return None
    started, records = set(), {}
    try:
        header, *lines = [json.loads(line) for line in whole.split(b"\n")]
        if header["journal"] != FORMAT:
            raise JobRefused(f"{path} is a journal of format {header['journal']}; this version goes on with format {FORMAT}")
        for line in lines:
            if "started" in line:
                started.add(line["started"])
                continue
            record = records[line["source"]] = _record(line)
            if record.status == "done":
                started.discard(record.source)
    except (ValueError, KeyError, TypeError) as error:
        raise JobRefused(f"{path} is no journal, or a damaged one: move it away, or name another with --journal") from error
    return Past(header, frozenset(started), records, len(whole) + 1)


def _record(line: dict[str, Any]) -> Record:
    stamps = {"read": _stamp(line["read"]), "wrote": [_stamp(value) for value in line["wrote"]]}
    return Record(**{**line, **stamps})


def _stamp(value: list[int] | None) -> Stamp | None:
    return (value[0], value[1]) if value is not None else None


class Journal:
    """Open for writing by one process alone. Safe to call from several threads; raises `OSError` when it cannot write."""

    def __init__(self, path: Path, past: Past | None, header: dict[str, Any], *, overwrite: bool = False):
        """Goes on after `past`, or begins anew with `header`. Raises `JobRefused` where another process uses it."""
        self.path = path
        self._lock = Lock()
        self._file = path.open("r+b" if path.exists() else "x+b", buffering=0)
        try:
            _hold(self._file, path)
            if not overwrite and read_journal(path) != past:
                raise JobRefused(f"another job wrote to {path} just now: try again")
            self._end = self._file.seek(past.length if past else 0)
            self._file.truncate()
            if past is None:
                self._write({"journal": FORMAT, **header})
        except BaseException:
            self._file.close()
            raise

    def start(self, name: str) -> None:
        """From here on, files at this picture's output names are the job's own."""
        self._write({"started": name})

    def finish(self, record: Record) -> None:
        self._write(asdict(record))

    def _write(self, line: dict[str, Any]) -> None:
        text = json.dumps(line).encode() + b"\n"
        with self._lock:
            try:
                if self._file.write(text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(self._end)  # or the next line would stick to half of this one
                self._file.seek(self._end)
                raise
            self._end += len(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _hold(file: FileIO, path: Path) -> None:
    """Until the file is closed or the process ends, however it ends."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JobRefused(f"another job is at work here: it holds {path}") from None
