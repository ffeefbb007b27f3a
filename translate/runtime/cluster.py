"""The folder job on Ray Data: processes of one machine or of many translate, this one alone keeps the journal.

A worker writes each picture whole, under a name that is nobody's, and this process gives it its own: so a picture whose worker
was killed is simply translated again, and a worker that was only thought to be dead harms nothing.
"""

import hashlib
import logging
import os
import pickle
import secrets
import signal
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

from translate.runtime.batch import Work, clear, opened, refuse_blend, refuse_strangers, told, writing
from translate.runtime.errors import JobRefused, JobStopped, TranslateError
from translate.runtime.job import Job
from translate.runtime.journal import Journal, Record
from translate.runtime.model import Model, read_card
from translate.runtime.plan import Item, Plan
from translate.runtime.store import digest
from translate.runtime.threads import usable_cpus

TRIES = 3
"""How often a picture is begun whose workers are killed, before it is taken for what kills them."""

Answer = tuple[str, Record | JobStopped, list[Path]]
"""The item's name, what became of it, and where its outputs lie."""


def run(job: Job, *, jobs: int | None = None, stop: Event | None = None) -> Generator[Record, None, None]:
    """As `batch.run`, with `jobs` processes of one thread each: by default, one for each CPU that Ray has, or for each GPU.

    They are on the cluster that `RAY_ADDRESS` names, whose machines see IN, OUT and the model at the same paths; without it, on
    this machine. Raises `JobRefused` where Ray is missing or cannot be reached, or the job is not one for several processes.
    """
    try:
        import_module("ray.data")  # an extra
    except ImportError as error:
        raise JobRefused(f"--engine ray needs Ray ({error}): pip install 'image-translate[ray]'") from error
    if job.journal is None:
        raise JobRefused(f"{job.source} is a single picture: --engine ray is for folders")
    if (job.settings.device or "cpu") not in ("cpu", "cuda"):
        raise JobRefused(f"device {job.settings.device}: with --engine ray it is cpu or cuda, and Ray chooses which")
    refuse_blend(read_card(job.model), job.settings.amount)
    return _run(job, jobs, stop or Event())


def _run(job: Job, jobs: int | None, stop: Event) -> Generator[Record, None, None]:
    with ExitStack() as stack:
        journal = opened(job, stack)
        assert journal is not None
        left = {item.name: item for item in job.todo}
        with _connected(jobs or 1):
            for name, outcome, files in _answers(job, jobs, stop):
                if isinstance(outcome, JobStopped):
                    raise outcome
                yield _settled(job, journal, left.pop(name), outcome, files)
        clear(job)


def _settled(job: Job, journal: Journal, item: Item, record: Record, files: list[Path]) -> Record:
    """Gives a picture's files their names, and writes it down."""
    if record.status == "done":
        try:
            refuse_strangers(job, item)
            with writing(job):
                journal.start(item.name)
                for file, path in zip(files, item.outputs, strict=True):
                    os.replace(file, path)
            record = replace(record, output=told(job, item))
        except (JobRefused, OSError) as error:
            for file in files:
                file.unlink(missing_ok=True)
            record = Record(item.name, "failed", reason=str(error), read=record.read)
    with writing(job):
        journal.finish(record)
    return record


@contextmanager
def _connected(cpus: int) -> Iterator[None]:
    """Ray, which tells nobody of it, and the terminal nothing of itself."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    # Said, because Ray would otherwise join whatever runs on this machine, even what is left of a job that was just killed
    where: dict[str, Any] = {"address": os.environ.get("RAY_ADDRESS", "local")}
    if where["address"] == "local":  # only names go through its store
        where |= {"num_cpus": max(cpus, usable_cpus()), "object_store_memory": 80 * 2**20, "include_dashboard": False}
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # its errors have no common base
        raise JobRefused(f"Ray cannot be reached or started: {error}") from error
    try:
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)  # Ray's own would end this process before it has told how to go on
        yield
    finally:
        ray.shutdown()


def _answers(job: Job, jobs: int | None, stop: Event) -> Iterator[Answer]:
    """What the workers have done, as they end; until `stop` is set."""
    import ray

    kind = "GPU" if job.settings.device == "cuda" else "CPU"
    found = int(ray.cluster_resources().get(kind, 0))
    if found < (jobs or 1):
        raise JobRefused(f"Ray has {found} {kind}s, which is too few for {jobs or 1} --jobs")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    rows = [{"item": pickle.dumps(replace(item, source=item.source.absolute()))} for item in job.todo]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _Worker,
        fn_constructor_args=[replace(job, plan=Plan([], []), todo=[], past=None)],
        # A picture that waited behind another would be thrown back with it
        compute=ray.data.ActorPoolStrategy(size=min(jobs or found, len(rows)), max_tasks_in_flight_per_actor=1),
        **{f"num_{kind.lower()}s": 1},
    )
    answers: Queue[Answer | Exception | None] = Queue()
    Thread(target=_fetch, args=(dataset, answers), daemon=True).start()
    while not stop.is_set():
        try:
            answer = answers.get(timeout=0.2)
        except Empty:
            continue
        if answer is None:
            return
        if isinstance(answer, Exception):
            raise JobStopped(f"Ray: {answer}") from answer
        yield answer


def _fetch(dataset: Any, answers: "Queue[Answer | Exception | None]") -> None:
    """In a thread, because waiting for Ray cannot be interrupted."""
    try:
        # Fetching ahead would hold each answer back until the next one is there
        for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for answer in batch["answer"].to_pylist():
                answers.put(pickle.loads(answer))
        answers.put(None)
    except Exception as error:  # noqa: BLE001 (told by whoever waits for the answers)
        answers.put(error)


class _Worker:
    """A process of Ray's with a model of its own."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.work: Work | None = None

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return {"answer": pickle.dumps(self.answer(pickle.loads(row["item"])))}

    def answer(self, item: Item) -> Answer:
        apart = replace(item, output=_apart(item.output), compare=item.compare and _apart(item.compare))
        try:
            self.work = self.work or self.start()
            with _begun(item) as times:
                if times > TRIES:
                    reason = f"{item.source}: {TRIES} processes that worked on it were killed, perhaps for lack of memory"
                    return item.name, Record(item.name, "failed", reason=reason), []
                return item.name, self.work.translate(apart), apart.outputs
        except (TranslateError, OSError) as error:
            return item.name, JobStopped(str(error)), []

    def start(self) -> Work:
        if digest(self.job.model) != self.job.sha256:
            raise JobStopped(f"{self.job.model} is another file on {os.uname().nodename}: copy it there")
        return Work(self.job, Model.open(self.job.model, device=self.job.settings.device or "cpu", threads=1), None, Event())


@contextmanager
def _begun(item: Item) -> Iterator[int]:
    """How often the picture has been begun, counted in a file, because Ray would begin it without end."""
    mark = item.output.with_name(
        f".translate-{hashlib.sha256(item.output.name.encode(errors='surrogateescape')).hexdigest()[:16]}.tmp"
    )
    mark.parent.mkdir(parents=True, exist_ok=True)
    with mark.open("ab") as file:
        file.write(b".")
    yield mark.stat().st_size
    mark.unlink(missing_ok=True)


def _apart(path: Path) -> Path:
    return path.with_name(f".translate-{secrets.token_hex(8)}.tmp{path.suffix}")
