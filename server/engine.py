"""A bounded queue in front of `runtime.Model`, with worker threads off the event loop."""

import asyncio
import contextvars
import logging
import math
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect

from server.problems import Problem
from server.settings import Settings
from server.shelf import Shelf
from translate.runtime.errors import ModelNotFound, TranslateError
from translate.runtime.store import Store
from translate.runtime.threads import usable_cpus

log = logging.getLogger("server")

T = TypeVar("T")


MOST_WORKERS = 8
"""Unless told: each may hold a large picture."""


class Stopped(Exception):
    """Raised in a worker whose result nobody waits for any more."""


class Engine:
    """Models, workers and the queue of one server. Safe to use from several threads."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.shelf = Shelf(Store(settings.weights), settings.device, settings.threads, settings.keep)
        # At least two, so that one picture is decoded or encoded while another is in the network
        self.workers = settings.workers or min(max(usable_cpus(), 2), MOST_WORKERS)
        self._places = threading.BoundedSemaphore(self.workers + settings.queue)
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="translate")
        self._running: dict[Place, float] = {}
        self._seconds = 1.0
        self._missing: set[str] | None = None
        self.ready = False
        """Whether the default model is loaded, and the others for which the start waits have been tried."""

    def load(self) -> None:
        """Loads what is to be there from the start. What cannot be loaded is logged, and keeps nothing else from it."""
        if self._missing is None:
            for path in self.shelf.store.misnamed():
                log.warning("%s is not served: rename it to small letters a-z, digits, '.', '_' and '-', at most 64", path)
        missing = set()
        for name in (self.settings.model, *self.settings.preload):
            try:
                self.shelf.get(name)
            except ModelNotFound as error:
                if name not in (self._missing or ()):
                    log.error("%s is not there at the start: %s", name, error)
                missing.add(name)
            except TranslateError:  # the shelf has logged it
                missing.add(name)
        self._missing = missing
        self.ready = self.settings.model not in missing

    def stuck(self) -> bool:
        """Whether a worker has been away with a picture for so long that only a new process will help."""
        patience = 2 * self.settings.timeout + 60
        return any(time.perf_counter() - started > patience for started in tuple(self._running.values()))

    def several(self) -> bool:
        """Whether more than one picture is at work."""
        return len(self._running) > 1

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Takes a place in the queue, or raises a 503 at once. Take it before reading the upload: it bounds memory as well.

        The place is free again when the block has been left *and* no worker is busy with it.
        """
        if not self._places.acquire(blocking=False):
            raise Problem(
                503, "The server is busy with other pictures. Try again in a moment.", {"Retry-After": str(self._wait())}
            )
        place = Place(self._pool, self._running)
        try:
            yield place
        finally:
            place.leave(self._places.release)
            if place.seconds is not None:
                self._seconds += 0.2 * (place.seconds - self._seconds)

    def _wait(self) -> int:
        """Whole seconds until half of a full queue is likely to be done: by a moving average of what pictures took."""
        rounds = 1 + self.settings.queue / self.workers / 2
        return max(1, math.ceil(self._seconds * rounds))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Place:
    """One request's place: waiting for a worker, or in one."""

    def __init__(self, pool: ThreadPoolExecutor, running: dict["Place", float]):
        self.seconds: float | None = None
        """Seconds in the worker, once done."""
        self._pool, self._running = pool, running
        self._stop = threading.Event()
        self._work: Callable[[], object] | None = None
        self._future: Future[Any] | None = None

    async def run(self, work: Callable[[], T], timeout: float, gone: Coroutine[Any, Any, None]) -> T:
        """Runs `work` in a worker thread. Out of `timeout` (seconds), or once `gone` returns, `check` stops the work.

        Raises a 504, `ClientDisconnect`, or whatever `work` raises.
        """
        self._work = work
        self._future = self._pool.submit(contextvars.copy_context().run, self._start)  # the worker logs under the request's id
        result: asyncio.Future[T] = asyncio.wrap_future(self._future)
        watch = asyncio.create_task(gone)
        try:
            waiting: set[asyncio.Future[Any]] = {result, watch}
            await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
            if watch.done():
                raise ClientDisconnect
            raise Problem(504, f"The picture was not ready within {timeout:g} seconds. Try again, or send a smaller one.")
        finally:
            self._stop.set()
            # Itself: cancelling `result` reaches it only on the loop's next turn
            self._future.cancel()
            result.cancel()
            watch.cancel()

    def check(self) -> None:
        """Called by `work` now and then; raises `Stopped` when its result is not wanted any more."""
        if self._stop.is_set():
            raise Stopped

    def leave(self, release: Callable[[], None]) -> None:
        """Calls `release` as soon as no worker holds this place."""
        if self._future is None:
            release()
            return
        if self._future.cancelled():
            self._work = None  # the pool keeps a cancelled item until its turn; the upload must not wait with it
        self._future.add_done_callback(lambda _: release())

    def _start(self) -> object:
        started = self._running[self] = time.perf_counter()
        work, self._work = self._work, None
        assert work is not None
        try:
            return work()
        finally:
            del self._running[self]
            self.seconds = time.perf_counter() - started
