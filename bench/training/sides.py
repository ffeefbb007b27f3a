"""Two trainings in processes of their own, which take steps when they are told to."""

import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from bench.training.groups import Spent, spent
from bench.versus.runs import KINDS, recipe_of, train_ours, train_theirs
from translate.training.pages import keep_pages
from translate.training.recipe import Recipe
from translate.training.summary import Costless

WARM = 2
"""Steps before the first that is measured."""


@dataclass(frozen=True)
class Setup:
    """What is trained: `kind` is one of `bench.versus`; `settings` are those of ours alone."""

    kind: str
    size: int
    width: int
    threads: int
    settings: tuple[str, ...] = ()

    def recipe(self, *extra: str) -> Recipe:
        """The faithful recipe in single precision, but for dropout: masks that differ would be all that losses tell."""
        networks = {"cyclegan": ["generator.blocks=9"], "pix2pix": ["generator.levels=8"]}[self.kind]
        return recipe_of(self.kind, 10**6, self.size, self.width, 0, 50, [*networks, *extra])

    def ours(self) -> Recipe:
        """As shipped, in the precision and with the engine that everybody gets."""
        shipped = Recipe.load(f"{self.kind}.toml")
        engine = (f"precision={shipped.precision}", f"channels_last={str(shipped.channels_last).lower()}")
        return self.recipe(*engine, *self.settings)


class Side:
    """A training that waits in its process."""

    def __init__(self, setup: Setup, reference: Path | None) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share the threads' state
        self._line, line = context.Pipe()
        self._process = context.Process(target=_train, args=(line, setup, reference), daemon=True)
        self._process.start()
        line.close()

    def ask(self, what: str, steps: int = 1) -> Any:
        """`time`: seconds of a step and its last losses; `count`: its floating-point operations; `profile`: where time goes.

        Raises `ValueError` where the training has ended, with what it ended by.
        """
        try:
            self._line.send((what, steps))
            answer = self._line.recv()
        except (EOFError, OSError):
            raise ValueError("a training has ended; what by is said above") from None
        if isinstance(answer, Exception):
            raise ValueError(str(answer))
        return answer

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._line.send(("end", 0))
        self._process.join()


@contextlib.contextmanager
def both(setup: Setup, reference: Path) -> Iterator[dict[str, Side]]:
    sides = {"ours": Side(setup, None), "reference": Side(setup, reference)}
    try:
        yield sides
    finally:
        for side in sides.values():
            side.close()


class _End(Exception):
    """Ends a training."""


def _train(line: Connection, setup: Setup, reference: Path | None) -> None:
    torch.set_num_threads(setup.threads)
    try:
        with contextlib.suppress(_End, EOFError), tempfile.TemporaryDirectory() as work:
            recipe, orders = setup.ours() if reference is None else setup.recipe(), _Orders(line)
            if reference is None:
                keep_pages()  # as translate-train does
                train_ours(recipe, Costless(recipe), Path(work), orders)
            else:
                train_theirs(recipe, Costless(recipe), reference, tell=orders)
    except Exception as error:  # noqa: BLE001 the other process tells it
        line.send(error if isinstance(error, ValueError) else ValueError(f"{type(error).__name__}: {error}"))


class _Orders:
    """Called after each step: answers once those of the last order are done, and waits for the next one."""

    def __init__(self, line: Connection) -> None:
        self.line, self.left, self.what = line, WARM, ""
        self.watch: Any = contextlib.nullcontext()
        self.steps, self.began = WARM, 0.0

    def __call__(self) -> None:
        self.left -= 1
        if self.left:
            return
        seconds = time.perf_counter() - self.began
        self.watch.__exit__(None, None, None)
        answer: float | int | Spent = seconds / self.steps
        if self.what == "count":
            answer = self.watch.get_total_flops()
        elif self.what == "profile":
            answer = spent(self.watch.events(), self.steps)
        if self.what:
            self.line.send(answer)
        self.what, self.steps = self.line.recv()
        if self.what == "end":
            raise _End
        self.left = self.steps
        self.watch = {"count": lambda: FlopCounterMode(display=False), "profile": _profiler}.get(
            self.what, contextlib.nullcontext
        )()
        self.watch.__enter__()
        self.began = time.perf_counter()


def _profiler() -> profile:
    return profile(activities=[ProfilerActivity.CPU])


def kinds(models: list[str]) -> list[str]:
    """Raises `ValueError` for one that there is not."""
    if unknown := set(models) - KINDS.keys():
        raise ValueError(f"unknown --model {', '.join(sorted(unknown))}; choose from {', '.join(KINDS)}")
    return models or list(KINDS)
