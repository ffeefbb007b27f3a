"""Batches: what several threads ask of one network at the same moment goes through it as one, where that is quicker."""

from dataclasses import dataclass, field
from threading import Condition, Lock, Semaphore
from typing import Any, Protocol

import numpy as np

from translate.runtime.statistics import Feeds, Floats

WAIT = 0.002
"""Seconds that a tile waits for others of its shape once the network is free, where there have been any."""
MOST = 8
"""Tiles of a batch."""
PIXELS = 1024 * 1024
"""Of a batch: a larger tile keeps the device busy by itself."""
OF_ALL = frozenset({"statistics", "given"})
"""Inputs without a place for each tile of a batch."""


class Network(Protocol):
    """What runs a network: of the arrays that it is given, the first axis is the batch."""

    def run(self, targets: list[str], feeds: Feeds, options: Any = None) -> Any: ...

    def get_inputs(self) -> Any: ...

    def get_outputs(self) -> Any: ...


@dataclass
class _Batch:
    feeds: list[Feeds] = field(default_factory=list)
    answers: list[list[Floats] | Exception] = field(default_factory=list)
    closed: bool = False
    done: bool = False


class Together:
    """A network that is run once for tiles of one shape that come within `WAIT`, and by one thread at a time.

    The answers are those that each would have had alone, as far as the network keeps pictures of a batch apart.
    """

    def __init__(self, network: Network, most: int = MOST) -> None:
        self.get_inputs, self.get_outputs = network.get_inputs, network.get_outputs
        self._network, self._most = network, most
        self._free = Semaphore()
        self._changed = Condition(Lock())
        self._open: dict[tuple[object, ...], _Batch] = {}
        self._last = 1
        """Tiles of the last batch."""

    def run(self, targets: list[str], feeds: Feeds, options: Any = None) -> list[Floats]:
        """As the network's own; raises what it raises, for this tile alone."""
        key, most = _kind(targets, feeds), max(1, min(self._most, PIXELS // _pixels(feeds)))
        with self._changed:
            batch = self._open.setdefault(key, _Batch())
            place = len(batch.feeds)
            batch.feeds.append(feeds)
            if len(batch.feeds) == most:
                self._close(key, batch)
        if place == 0:
            self._lead(key, batch, targets, options)
        with self._changed:
            self._changed.wait_for(lambda: batch.done)
        answer = batch.answers[place]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _lead(self, key: tuple[object, ...], batch: _Batch, targets: list[str], options: Any) -> None:
        """By the thread that came first: others join while the network is busy, and for a moment more."""
        try:
            with self._free:
                with self._changed:
                    if max(self._last, len(batch.feeds)) > 1:
                        self._changed.wait_for(lambda: batch.closed, WAIT)
                    self._close(key, batch)
                    self._last = len(batch.feeds)
                batch.answers = self._answers(batch.feeds, targets, options)
        finally:
            with self._changed:
                self._close(key, batch)
                batch.answers = batch.answers or [RuntimeError("the batch was given up")] * len(batch.feeds)
                batch.done = True
                self._changed.notify_all()

    def _close(self, key: tuple[object, ...], batch: _Batch) -> None:
        batch.closed = True
        if self._open.get(key) is batch:
            del self._open[key]
        self._changed.notify_all()

    def _answers(self, feeds: list[Feeds], targets: list[str], options: Any) -> list[list[Floats] | Exception]:
        if len(feeds) > 1:
            of_all = {name for name in feeds[0] if name in OF_ALL}
            joined = {name: np.concatenate([each[name] for each in feeds]) for name in feeds[0].keys() - of_all}
            found = self._answer(joined | {name: feeds[0][name] for name in of_all}, targets, options)
            if not isinstance(found, Exception):
                return [[output[place : place + 1] for output in found] for place in range(len(feeds))]
            # Too little memory for all at once, or one of them is at fault: each for itself
        return [self._answer(each, targets, options) for each in feeds]

    def _answer(self, feeds: Feeds, targets: list[str], options: Any) -> list[Floats] | Exception:
        try:
            found: list[Floats] = self._network.run(targets, feeds, options)
        except Exception as error:  # noqa: BLE001  (the runtime's errors have no common base; raised by whoever asked)
            return error
        return found


def _kind(targets: list[str], feeds: Feeds) -> tuple[object, ...]:
    """What tiles of one batch have in common. Arrays that are no tile's own have to be the same ones."""
    of_each = (id(value) if name in OF_ALL else value.shape for name, value in feeds.items())
    return (*targets, *feeds, *of_each)


def _pixels(feeds: Feeds) -> int:
    return max(int(value.shape[1] * value.shape[2]) for name, value in feeds.items() if name not in OF_ALL)
