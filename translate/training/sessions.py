"""The lives of a run: each start and each resume, how far it came and how it ended, in RUN/sessions.json.

A process that is killed cannot say so: its session keeps the time when it was last heard of, and has no end.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from translate.training import checkpoint

FINISHED = "finished"


@dataclass(frozen=True)
class Session:
    """`began` and `heard` are seconds since 1970, `first` and `last` the steps done. `end` is empty while it goes on."""

    began: float
    heard: float
    first: int
    last: int
    end: str
    environment: dict[str, str]


def read(run: Path) -> list[Session]:
    path = run / "sessions.json"
    return [Session(**entry) for entry in checkpoint.read_json(path)] if path.is_file() else []


def write(run: Path, sessions: Sequence[Session]) -> None:
    checkpoint.write_atomically(run / "sessions.json", json.dumps([asdict(session) for session in sessions], indent=1))
