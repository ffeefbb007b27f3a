"""How far a batch is, on stderr: a bar on a terminal, else a line now and then."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from translate.runtime.journal import Record

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class Display:
    """Tells of pictures as they go by. Usable from any thread."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._lock = Lock()
        self._shares: dict[str, float] = {}
        self._ended = 0
        self._total = 0
        self._began = self._said = time.monotonic()
        self._bar: Progress | None = None

    def say(self, text: str) -> None:
        self.console.print(text)

    @contextmanager
    def following(self, total: int) -> Iterator[None]:
        """Between begin and end of the work on `total` pictures."""
        self._total, self._began = total, time.monotonic()
        if not self.console.is_terminal:
            yield
            return
        columns = (SpinnerColumn(), BarColumn(None), TextColumn("{task.description}"), TimeRemainingColumn(), TextColumn("left"))
        with Progress(*columns, console=self.console) as self._bar:
            self._bar.add_task(self._numbers(), total=total)
            yield

    def share(self, name: str, share: float) -> None:
        """So much of a picture has been translated, 0 to 1."""
        with self._lock:
            self._shares[name] = share
            self._draw()

    def ended(self, record: Record) -> None:
        if record.status == "failed":
            self.say(f"failed: {record.source}: {record.reason}")
        for warning in record.warnings:
            self.say(f"warning: {record.source}: {warning}")
        with self._lock:
            self._shares.pop(record.source, None)
            self._ended += 1
            self._draw()

    def _draw(self) -> None:
        completed = self._ended + sum(self._shares.values())
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=completed, description=self._numbers())
        elif (now := time.monotonic()) - self._said >= EVERY:
            self._said = now
            left = timedelta(seconds=round((self._total / completed - 1) * (now - self._began)))
            self.say(f"{self._numbers()}, {left} left")

    def _numbers(self) -> str:
        rate = self._ended / max(time.monotonic() - self._began, 1e-9)
        return f"{self._ended}/{self._total} pictures, {rate:.2f} per s"
