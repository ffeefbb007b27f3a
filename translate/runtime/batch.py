"""A folder job: pictures decoded, translated and written by several threads around one model, journalled so that it resumes."""

import errno
import hashlib
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Condition, Event, Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from translate.runtime.card import Card
from translate.runtime.errors import JobRefused, JobStopped, TranslateError
from translate.runtime.job import Job
from translate.runtime.journal import Journal, Record, stamp
from translate.runtime.model import Model
from translate.runtime.picture import FORMATS, Picture
from translate.runtime.plan import Item, refuse_collisions

IN_FLIGHT = 192 * 2**20
"""Bytes of decoded pixels above which no further picture is decoded: large ones go one by one."""

_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""Errors of writing that the next picture would meet as well."""

_HALF_DONE = re.compile(r"\.translate-[0-9a-f]{16}\.tmp(\.\w+)?")
"""Files that `Picture.save` had not finished when the process was killed, or that have not got their names yet."""


class _Stopped(Exception):
    """Somebody asked the job to stop; the picture at work is given up."""


def run(
    job: Job,
    model: Model,
    *,
    jobs: int = 2,
    stop: Event | None = None,
    progress: Callable[[str, float], None] = lambda name, share: None,
) -> Generator[Record, None, None]:
    """Translates what there is to do and yields a record for each picture, in the order in which they end.

    `jobs` threads decode and encode; one picture at a time is in the model, which has all its own threads, so that the outputs
    do not depend on `jobs`. After `stop` is set it ends within a tile's time; pictures at work are given up. `progress` is told
    each picture's name and the share of it, 0 to 1, that has been translated, from any thread.

    Raises `JobRefused` before the first picture if it may not write, and `JobStopped` as soon as it cannot go on.
    """
    refuse_blend(model.card, job.settings.amount)
    stop, hopeless = stop or Event(), []
    with ExitStack() as stack:
        work = Work(job, model, opened(job, stack), stop, progress)
        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        try:
            for future in _submitted(pool, work, job.todo, jobs):
                try:
                    record = future.result()
                except JobStopped as error:
                    stop.set()
                    hopeless.append(error)
                else:
                    if record:
                        yield record
        except BaseException:  # such as GeneratorExit: let the threads end before the pool waits for them
            stop.set()
            raise
    if hopeless:
        raise hopeless[0]


def refuse_blend(card: Card, amount: float | None) -> None:
    """Raises `JobRefused` where the results are too large to be blended with the originals."""
    if card.scale > 1 and amount not in (None, 1):
        raise JobRefused(f"{card.name} enlarges pictures, so they cannot be blended with the originals: leave amount at 1")


def _submitted(pool: ThreadPoolExecutor, work: "Work", todo: Iterable[Item], jobs: int) -> Iterator[Future[Record | None]]:
    """Ended futures, of which no more than `jobs` are under way."""
    waiting: set[Future[Record | None]] = set()
    for item in todo:
        if work.stop.is_set():
            break
        waiting.add(pool.submit(work, item))
        if len(waiting) >= jobs:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from done
    yield from as_completed(waiting)


def opened(job: Job, stack: ExitStack) -> Journal | None:
    """Makes the folders, shows that they can be written, and clears away what a killed run had half done."""
    folder = job.target if job.journal else job.plan.items[0].output.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        if job.journal is None:
            return None
        refuse_collisions(job.plan.items, case=_tells_case(folder))
        job.journal.parent.mkdir(parents=True, exist_ok=True)
        journal = stack.enter_context(Journal(job.journal, job.past, job.header, overwrite=job.overwrite))
        if job.past or job.overwrite:
            clear(job)
    except OSError as error:
        raise JobRefused(f"cannot write {error.filename or folder}: {error.strerror}. Choose another place") from error
    return journal


def _tells_case(folder: Path) -> bool:
    """Whether `a` and `A` are two files there, which the operating system does not say."""
    probe = folder / f".translate-{secrets.token_hex(8)}.tmp"
    try:
        probe.touch()
        return not probe.with_name(probe.name.upper()).exists()
    finally:
        probe.unlink(missing_ok=True)


def clear(job: Job) -> None:
    """Removes what was half written when its process was killed."""
    for folder in {path.parent for item in job.plan.items for path in item.outputs}:
        for path in folder.iterdir() if folder.is_dir() else ():
            if _HALF_DONE.fullmatch(path.name):
                path.unlink(missing_ok=True)


class Work:
    """What the threads of a process share. Called with an item it gives the record, or None where the job was stopped first."""

    def __init__(
        self,
        job: Job,
        model: Model,
        journal: Journal | None,
        stop: Event,
        progress: Callable[[str, float], None] = lambda name, share: None,
    ):
        self.job, self.model, self.journal, self.stop, self.progress = job, model, journal, stop, progress
        # With its two copies, a side-by-side picture takes four times as much
        self.budget, self.turn = _Budget(IN_FLIGHT // (4 if job.settings.compare else 1)), Lock()

    def __call__(self, item: Item) -> Record | None:
        try:
            record = self.translate(item)
            if self.journal:
                with writing(self.job):
                    self.journal.finish(record)
        except _Stopped:
            return None
        except BaseException:
            self.stop.set()
            raise
        return record

    def translate(self, item: Item) -> Record:
        """Writes a picture's outputs. Raises `JobStopped` where no other picture could be written either."""
        read = None
        try:
            read = stamp(item.source)
            return self.attempt(item, read)
        except (_Stopped, JobStopped):
            raise
        except MemoryError:
            reason = f"{item.source}: not enough memory to translate or write it. Free some, and try again"
        except OSError as error:
            reason = f"{error.strerror or error}: {error.filename or item.source}"
        except TranslateError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 (one odd picture must not end a night's work, and is reported)
            reason = f"{type(error).__name__}: {error}"
        return Record(item.name, "failed", reason=reason, read=read)

    def attempt(self, item: Item, read: tuple[int, int] | None) -> Record:
        began = time.perf_counter()
        seed = self.seed(item)
        with self.budget.decoded(item.source, self.check) as picture:
            before = picture.with_pixels(picture.pixels.copy()) if item.compare else None
            warnings = _suspicions(picture, item, named=item.named or self.job.settings.format is not None)
            with self.turn:
                self.check()
                after = self.model(
                    picture, seed=seed, amount=self.job.settings.amount or 0.0, consume=True, progress=self.tile(item)
                )
            refuse_strangers(self.job, item)
            if self.journal:
                with writing(self.job):
                    self.journal.start(item.name)
            self.save(after, item.output)
            if before and item.compare:
                self.save(side_by_side(before, after), item.compare)
        return Record(
            source=item.name,
            status="done",
            output=told(self.job, item),
            warnings=warnings + after.warnings,
            seconds=round(time.perf_counter() - began, 3),
            width=after.width,
            height=after.height,
            bits=after.bits,
            format=_format(item.output),
            seed=seed,
            read=read,
            wrote=[now for path in item.outputs if (now := stamp(path))],
        )

    def save(self, picture: Picture, path: Path) -> None:
        with writing(self.job):
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, quality=self.job.settings.quality)

    def seed(self, item: Item) -> int | None:
        """Each picture of a folder has noise of its own, which depends on nothing but the job's seed and the picture's name."""
        seed = self.job.settings.seed
        if self.model.card.noise is None or self.job.journal is None:
            return seed if self.model.card.noise else None
        name = item.name.encode(errors="surrogateescape")
        return int.from_bytes(hashlib.sha256(b"%d:%s" % (seed or 0, name)).digest()[:4])

    def tile(self, item: Item) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            self.check()
            self.progress(item.name, done / total)

        return progress

    def check(self) -> None:
        if self.stop.is_set():
            raise _Stopped


@contextmanager
def writing(job: Job) -> Iterator[None]:
    """Around what is written: raises `JobStopped` for an `OSError` that the next picture would meet as well."""
    try:
        yield
    except OSError as error:
        if error.errno not in _HOPELESS:
            raise
        raise JobStopped(f"cannot write to {job.target}: {error.strerror}. What is done is safe") from error


def refuse_strangers(job: Job, item: Item) -> None:
    """Raises `JobRefused` for somebody at work there since the job began, or names that the file system takes for one (two
    spellings of `é`)."""
    if strangers := job.strangers(item):
        raise JobRefused(f"{', '.join(strangers)} came to be meanwhile, and is not this picture's: move it away")


def told(job: Job, item: Item) -> str:
    """Its output as a record names it."""
    return item.output.relative_to(job.target).as_posix() if job.journal else str(item.output)


class _Budget:
    """Holds decoding back while the pictures in flight take more than `limit` bytes; so they take at most one more than that."""

    def __init__(self, limit: int):
        self.limit = limit
        self.used = 0
        self.released = Condition()
        self.queue = Lock()

    @contextmanager
    def decoded(self, source: Path, check: Callable[[], None]) -> Iterator[Picture]:
        """The picture, counted until the block ends. Calls `check` after waiting, which may raise."""
        with self.queue:
            with self.released:
                self.released.wait_for(lambda: self.used <= self.limit)
            check()
            picture = Picture.open(source)
            size = picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
            with self.released:
                self.used += size
        try:
            yield picture
        finally:
            with self.released:
                self.used -= size
                self.released.notify_all()


def _suspicions(picture: Picture, item: Item, *, named: bool) -> list[str]:
    written = _format(item.output)
    if named or picture.format == written or picture.format not in FORMATS:
        return []
    return [f"by its content a {picture.format}, but written as its name says, as {written}"]


def _format(path: Path) -> str:
    return next((name for name, format in FORMATS.items() if path.suffix.lower() in format.suffixes), "")


def side_by_side(before: Picture, after: Picture) -> Picture:
    """Before, a thin white line, after: one picture of the same depth, with `after`'s metadata. Before is enlarged to match."""
    scale, line = after.width // before.width, max(2, after.width // 200)
    peak = np.iinfo(after.pixels.dtype).max
    joined = np.full((after.height, 2 * after.width + line, after.pixels.shape[2]), peak, after.pixels.dtype)
    joined[:, : after.width] = before.pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    joined[:, -after.width :] = after.pixels
    alpha: npt.NDArray[Any] | None = None
    if after.alpha is not None:
        alpha = np.concatenate([after.alpha, np.full((after.height, line), peak, after.alpha.dtype), after.alpha], axis=1)
    return after.with_pixels(joined, alpha=alpha)
