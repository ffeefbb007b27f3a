"""How far a batch or a training is, on stderr: a bar on a terminal, else a line now and then."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

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


class Training:
    """Steps, pictures per second, time left and losses, of which there may be more than fit beside a bar."""

    def __init__(self, console: Console, steps: int, batch: int) -> None:
        self._console, self._steps, self._batch = console, steps, batch
        self._seen: deque[tuple[float, int]] = deque(maxlen=200)
        self._said = time.monotonic()
        self._bar = _BarAndLosses(console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=steps, completed=0)

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        now = time.monotonic()
        self._seen.append((now, step))  # neither the start nor what was done before a resume counts
        (since, first), words = self._seen[0], told(losses)
        rate = (step - first) / (now - since) if now > since else 0.0
        left = str(timedelta(seconds=round((self._steps - step) / rate))) if rate else "?"
        numbers = f"step {step}/{self._steps}  {self._batch * rate:.1f} pictures/s  {left} left"
        self._bar.losses = words
        self._bar.update(self._task, completed=step, description=numbers)
        if not self._console.is_terminal and (now - self._said >= EVERY or step == self._steps):
            self._said = now
            self._console.print(f"{numbers}  {words}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()


class _BarAndLosses(Progress):
    losses = ""

    @classmethod
    def get_default_columns(cls) -> tuple[TextColumn, BarColumn]:
        return TextColumn("{task.description}"), BarColumn(None)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.losses, style="dim")


def told(losses: Mapping[str, float]) -> str:
    """`generator l1 0.0312 adversarial 0.6931 · critic critic 0.2500`: every loss once, under the player that minimises it."""
    players: dict[str, list[str]] = {}
    for name, value in losses.items():
        player, _, term = name.partition("/")
        players.setdefault(player, []).append(f"{term} {value:.4g}")
    return " · ".join(" ".join((player, *terms)) for player, terms in players.items())


@contextmanager
def counting(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal that leaves nothing behind. What is given is told how many of how many there are."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
