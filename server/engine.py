"""A bounded queue in front of `runtime.Model`, with worker threads off the event loop."""

import asyncio
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
from translate.runtime.card import Card
from translate.runtime.model import Model
from translate.runtime.store import Store

T = TypeVar("T")


class Stopped(Exception):
    """Raised in a worker whose result nobody waits for any more."""


class Engine:
    """Models, workers and the queue of one server. Safe to use from several threads."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.store = Store(settings.weights)
        self._models: dict[str, Model] = {}
        self._loading = threading.Lock()
        self._places = threading.BoundedSemaphore(settings.workers + settings.queue)
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="translate")
        self._seconds = 1.0

    def loaded(self, name: str) -> bool:
        return name in self._models

    def card(self, name: str) -> Card:
        """The card of model `name`, without loading it. Raises as `Store.card` does."""
        return self.store.card(self.store.find(name))

    def model(self, name: str) -> Model:
        """The one shared session of model `name`, loaded by the first call. Raises as `Store.load` does."""
        with self._loading:
            if name not in self._models:
                path = self.store.find(name)
                self._models[name] = Model.open(path, device=self.settings.device, threads=self.settings.threads)
            return self._models[name]

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Takes a place in the queue, or raises a 503 at once. Take it before reading the upload: it bounds memory as well.

        The place is free again when the block has been left *and* no worker is busy with it.
        """
        if not self._places.acquire(blocking=False):
            raise Problem(
                503, "The server is busy with other pictures. Try again in a moment.", {"Retry-After": str(self._wait())}
            )
        place = Place(self._pool)
        try:
            yield place
        finally:
            place.leave(self._places.release)
            if place.seconds is not None:
                self._seconds += 0.2 * (place.seconds - self._seconds)

    def _wait(self) -> int:
        """Whole seconds until a worker is likely to be free: a moving average of what pictures took."""
        return max(1, math.ceil(self._seconds))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Place:
    """One request's place: waiting for a worker, or in one."""

    def __init__(self, pool: ThreadPoolExecutor):
        self.waited = 0.0
        """Seconds between `run` and its start in a worker."""
        self.seconds: float | None = None
        """Seconds in the worker, once done."""
        self._pool = pool
        self._stop = threading.Event()
        self._work: Callable[[], object] | None = None
        self._future: Future[Any] | None = None

    async def run(self, work: Callable[[], T], timeout: float, gone: Coroutine[Any, Any, None]) -> T:
        """Runs `work` in a worker thread. Out of `timeout` (seconds), or once `gone` returns, `check` stops the work.

        Raises a 504, `ClientDisconnect`, or whatever `work` raises.
        """
        self._work, self._submitted = work, time.perf_counter()
        self._future = self._pool.submit(self._start)
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
            self._future.cancel()  # itself: cancelling `result` reaches it only on the loop's next turn
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
        started = time.perf_counter()
        self.waited = started - self._submitted
        work, self._work = self._work, None
        assert work is not None
        try:
            return work()
        finally:
            self.seconds = time.perf_counter() - started
