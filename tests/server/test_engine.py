"""The queue: full, out of time, hung up; each leaves its place free again."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.app import create_app
from server.engine import Engine, Stopped
from server.problems import Problem
from server.settings import Settings
from tests.server.conftest import Serve, encoded, pixels
from translate.runtime.model import Model
from translate.runtime.picture import Picture


class Endless:
    """A model that works until it is stopped."""

    card = SimpleNamespace(noise=None, scale=1)

    def __init__(self) -> None:
        self.started = threading.Event()
        self.stopped = threading.Event()

    def __call__(self, picture: Picture, *, progress: Callable[[int, int], None], **_: Any) -> Picture:
        self.started.set()
        try:
            while True:
                progress(0, 1)
                time.sleep(0.005)
        except Stopped:
            self.stopped.set()
            raise


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Endless:
    model = Endless()
    opened = Model.open
    monkeypatch.setattr(Model, "open", lambda path, **kw: model if path.stem == "noisy" else opened(path, **kw))
    return model


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_idle(client: TestClient) -> bool:
    """Whether every place is free: takes them all, and gives them back."""
    engine: Engine = client.app.state.engine  # type: ignore[attr-defined]
    places = [engine.place() for _ in range(engine.workers + engine.settings.queue)]
    taken = []
    try:
        for place in places:
            place.__enter__()
            taken.append(place)
    except Problem:
        return False
    finally:
        for place in taken:
            place.__exit__(None, None, None)
    return True


def test_full(serve: Serve) -> None:
    client = serve(workers=1, queue=1)
    engine: Engine = client.app.state.engine  # type: ignore[attr-defined]
    with engine.place(), engine.place():
        response = client.post("/translate", content=encoded(pixels()))
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) >= 1
        assert client.get("/healthz").status_code == client.get("/models").status_code == 200
    assert client.post("/translate", content=encoded(pixels())).status_code == 200


def test_out_of_time(serve: Serve, endless: Endless) -> None:
    client = serve(workers=1, queue=0, timeout=0.3)
    response = client.post("/translate?model=noisy", content=encoded(pixels()))
    assert response.status_code == 504
    assert endless.stopped.wait(20), "the worker was not stopped"
    until(lambda: is_idle(client))
    assert client.post("/translate", content=encoded(pixels())).status_code == 200


def test_out_of_time_while_waiting(serve: Serve, endless: Endless) -> None:
    client = serve(workers=1, queue=1, timeout=0.5)
    with ThreadPoolExecutor(2) as pool:
        busy = pool.submit(client.post, "/translate?model=noisy", content=encoded(pixels()))
        assert endless.started.wait(20)
        waiting = pool.submit(client.post, "/translate", content=encoded(pixels()))
        assert busy.result().status_code == 504
        assert waiting.result().status_code in (200, 504)
    until(lambda: is_idle(client))


def test_what_waited_too_long_is_dropped_before_any_work(weights: Path) -> None:
    """And with any number of requests, each is answered: at once with 503, or by its deadline."""
    started: list[int] = []

    async def flood() -> tuple[Engine, list[int]]:
        engine = Engine(Settings(weights=(weights,), workers=1, queue=3, timeout=0.2))
        release = threading.Event()

        async def one(number: int) -> int:
            try:
                with engine.place() as place:
                    work = partial(started.append, number) if number else release.wait
                    await place.run(work, engine.settings.timeout, asyncio.sleep(3600))
            except Problem as problem:
                return problem.status
            return 200

        try:
            return engine, await asyncio.gather(*map(one, range(50)))
        finally:
            release.set()

    engine, statuses = asyncio.run(flood())
    assert sorted(statuses) == [503] * 46 + [504] * 4
    engine._pool.shutdown()
    assert started == []


def test_a_worker_that_never_comes_back_is_seen(serve: Serve) -> None:
    client = serve(timeout=1)
    engine: Engine = client.app.state.engine  # type: ignore[attr-defined]
    now = time.perf_counter()
    engine._running[object()] = now - 50  # type: ignore[index]
    assert client.get("/healthz").status_code == 200
    engine._running[object()] = now - 70  # type: ignore[index]
    assert client.get("/healthz").status_code == 503


def test_every_error_frees_its_place(serve: Serve) -> None:
    client = serve(workers=1, queue=0, max_bytes=5000)
    for content in (b"", b"text", encoded(pixels())[:200], b"x" * 6000, encoded(pixels())):
        client.post("/translate", content=content)
        client.post("/translate?model=nan", content=content)
        client.post("/translate", files={"other": content})
        until(lambda: is_idle(client))


def test_model_is_loaded_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, original = [], Model.open

    def slow_open(path: Path, **kw: Any) -> Model:
        opened.append(path)
        time.sleep(0.05)
        return original(path, **kw)

    monkeypatch.setattr(Model, "open", slow_open)
    engine = Engine(Settings(weights=(weights,), threads=1))
    with ThreadPoolExecutor(4) as pool:
        models = [loaded.model for loaded in pool.map(engine.shelf.get, ["restore"] * 4)]
    assert len(opened) == 1
    assert len({id(model) for model in models}) == 1


def test_files_that_have_no_name_to_ask_for_are_told_once(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("Old Photos.onnx", "ü.onnx"):
        (weights / name).write_bytes((weights / "restore.onnx").read_bytes())
    engine = Engine(Settings(weights=(weights,), threads=1))
    engine.load()
    engine.load()
    told = [record.getMessage() for record in caplog.records if "not served" in record.getMessage()]
    assert len(told) == 2
    assert all(any(name in line for line in told) for name in ("Old Photos.onnx", "ü.onnx"))
    assert engine.ready


async def call(app: Any, messages: list[dict[str, Any]], *, then_hang: bool = False, path: str = "/translate") -> list[int]:
    """One request, message by message, as a server hands it on. Returns the statuses answered."""
    statuses: list[int] = []
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        try:
            return next(left)
        except StopIteration:
            await asyncio.sleep(3600 if then_hang else 0)
            return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    path, _, query = path.partition("?")
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": query.encode()}
    await app(scope | {"headers": [], "http_version": "1.1", "scheme": "http"}, receive, send)
    return statuses


def body(content: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more}


def test_hang_up_while_working(weights: Path, endless: Endless) -> None:
    app = create_app(Settings(weights=(weights,), workers=1, queue=0, threads=1))
    asyncio.run(call(app, [body(encoded(pixels()))], path="/translate?model=noisy"))
    assert not endless.started.is_set() or endless.stopped.wait(20)
    until(lambda: is_idle(TestClient(app)))
    metric = app.state.metrics.registry.get_sample_value("translate_rejected_total", {"reason": "gone"})
    assert metric == 1


def test_hang_up_while_uploading(weights: Path) -> None:
    app = create_app(Settings(weights=(weights,), workers=1, queue=0, threads=1))
    asyncio.run(call(app, [body(b"\x89PNG", more=True)]))
    assert is_idle(TestClient(app))
    assert app.state.metrics.registry.get_sample_value("translate_requests_in_progress") == 0


def test_slow_upload(weights: Path) -> None:
    app = create_app(Settings(weights=(weights,), workers=1, queue=0, threads=1, upload_timeout=0.05))
    assert asyncio.run(call(app, [body(b"\x89PNG", more=True)], then_hang=True)) == [408]
    assert is_idle(TestClient(app))


def test_upload_of_a_cancelled_request_is_let_go(weights: Path) -> None:
    async def wait_in_vain() -> None:
        engine = Engine(Settings(weights=(weights,), workers=1, queue=1))
        release = threading.Event()

        async def forever() -> None:
            await asyncio.sleep(3600)

        with engine.place() as first:
            busy = asyncio.create_task(first.run(release.wait, 20, forever()))
            await asyncio.sleep(0)
            with pytest.raises(Problem), engine.place() as second:
                await second.run(lambda: None, 0.05, forever())
            assert second._work is None
            release.set()
            await busy

    asyncio.run(wait_in_vain())
