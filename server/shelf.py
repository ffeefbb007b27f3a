"""The models that a server holds: loaded when first asked for, replaced as their files are, the least recently used let go."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from threading import Lock

from translate.runtime.card import Card
from translate.runtime.errors import InvalidModel, ModelNotFound, TranslateError
from translate.runtime.model import Model
from translate.runtime.store import State, Store, digest, state

log = logging.getLogger("server")

PAUSE = 30.0
"""Seconds before a file that could not be loaded is tried again unchanged, and before a session is rebuilt once more."""

SMALL_FILE = 64 * 2**20
"""Bytes of a translator up to which it is held twice where that is quicker."""


@dataclass(frozen=True)
class Loaded:
    """A model, and which file it was made of."""

    model: Model
    digest: str
    """SHA-256 of the file."""
    state: State
    single: Callable[[], Model]
    """The same for small pictures side by side, each on a thread of its own, where that is worth its memory."""
    rebuilt: float | None = None
    """When it took the place of a session that crashed."""


@dataclass(frozen=True)
class Refusal:
    """A file that could not be loaded."""

    state: State
    error: TranslateError
    when: float


class Shelf:
    """At most `limit` models in memory. Safe to use from several threads; loading one keeps nobody waiting for another."""

    def __init__(self, store: Store, device: str, threads: int | None, limit: int) -> None:
        self.store = store
        self._device, self._threads, self._limit = device, threads, limit
        self._lock = Lock()  # around what follows; never held while a model is loaded
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._refusals: dict[str, Refusal] = {}
        self._turns: dict[str, Lock] = {}
        self._beyond_repair: set[str] = set()

    def find(self, name: str) -> Path:
        """The file of a model. Raises `ModelNotFound`, and lets go of what was loaded of it."""
        try:
            return self.store.find(name)
        except ModelNotFound:
            with self._lock:
                self._loaded.pop(name, None)
            raise

    def names(self) -> list[str]:
        """Names of the models that are in memory, the least recently used first."""
        with self._lock:
            return list(self._loaded)

    def beyond_repair(self) -> set[str]:
        """Names of the models whose session crashed and could not be made again."""
        with self._lock:
            return set(self._beyond_repair)

    def card(self, name: str) -> Card:
        """The card of what `get` would give, without loading it. Raises `ModelNotFound` or `InvalidModel`."""
        path = self.find(name)
        try:
            return self.store.card(path)
        except InvalidModel:
            with self._lock:
                loaded = self._loaded.get(name)
            if loaded is None:
                raise
            return loaded.model.card

    def get(self, name: str) -> Loaded:
        """The model as it is on disk, loaded now if need be.

        Where its file has changed and cannot be loaded, or is being loaded by another thread, the one from before. Raises
        `ModelNotFound`, and where there is none from before `InvalidModel` or `DeviceUnavailable`.
        """
        path = self.find(name)
        found = state(path)
        with self._lock:
            loaded = self._loaded.get(name)
            if loaded is not None:
                self._loaded.move_to_end(name)
                if loaded.state == found or self._refusal(name, found):
                    return loaded
        turn = self._turn(name)
        if not turn.acquire(blocking=loaded is None):
            assert loaded is not None
            return loaded
        try:
            return self._renewed(name, path)
        finally:
            turn.release()

    def rebuild(self, name: str, crashed: Loaded) -> None:
        """Makes a new session in place of `crashed`, whose run has failed, unless that has just been done."""
        with self._turn(name):
            with self._lock:
                current = self._loaded.get(name)
            if current is not crashed or (current.rebuilt is not None and time.monotonic() - current.rebuilt < PAUSE):
                return
            try:
                fresh = self._open(self.find(name))
            except TranslateError as error:
                log.error("%s crashed, and cannot be loaded again: %s", name, error)
                with self._lock:
                    self._beyond_repair.add(name)
                return
            log.warning("%s crashed, and was loaded again", name)
            self._keep(name, replace(fresh, rebuilt=time.monotonic()))

    def _turn(self, name: str) -> Lock:
        with self._lock:
            return self._turns.setdefault(name, Lock())

    def _renewed(self, name: str, path: Path) -> Loaded:
        """For one thread at a time and name."""
        found = state(path)
        with self._lock:
            loaded, refusal = self._loaded.get(name), self._refusal(name, found)
        if loaded is not None and (loaded.state == found or refusal):
            return loaded
        if refusal:
            raise type(refusal.error)(*refusal.error.args)
        try:
            fresh = self._open(path)
        except TranslateError as error:
            kept = "" if loaded is None else "; the one from before is kept"
            log.error("%s cannot be loaded: %s%s", name, error, kept)
            with self._lock:
                self._refusals[name] = Refusal(found, error, time.monotonic())
            if loaded is None:
                raise
            return loaded
        log.info("%s is loaded, sha256 %s", name, fresh.digest)
        self._keep(name, fresh)
        return fresh

    def _refusal(self, name: str, found: State) -> Refusal | None:
        """What keeps the file from being tried again at once."""
        refusal = self._refusals.get(name)
        recent = refusal is not None and refusal.state == found and time.monotonic() - refusal.when < PAUSE
        return refusal if recent else None

    def _open(self, path: Path) -> Loaded:
        for _ in range(3):
            before = state(path)
            found, model = digest(path), Model.open(path, device=self._device, threads=self._threads)
            if state(path) == before:
                return Loaded(model, found, before, cache(partial(self._single, path, before, model)))
        raise InvalidModel(f"{path} changes while it is read")

    def _single(self, path: Path, before: State, model: Model) -> Model:
        """Threads that work on one small picture together wait for one another for a good part of their time."""
        try:
            if self._device != "cpu" or self._threads is not None or path.stat().st_size > SMALL_FILE:
                return model
            single = Model.open(path, threads=1)
        except (TranslateError, OSError):  # it is gone, or being replaced
            return model
        return single if state(path) == before else model

    def _keep(self, name: str, fresh: Loaded) -> None:
        with self._lock:
            self._loaded[name] = fresh
            self._loaded.move_to_end(name)
            self._refusals.pop(name, None)
            self._beyond_repair.discard(name)
            while len(self._loaded) > self._limit:
                gone, _ = self._loaded.popitem(last=False)
                log.info("%s was used least recently, and is let go", gone)
