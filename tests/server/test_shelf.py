"""Models that come, change, break and go while the server runs."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

import server.shelf
from server.shelf import Shelf
from tests.server.conftest import Serve, decoded, encoded, pixels
from tests.tiny_models import build
from translate.runtime.errors import InvalidModel, TranslationFailed
from translate.runtime.model import Model
from translate.runtime.store import Store

INVERTED = 255 - pixels()


def shelf_of(client: TestClient) -> Shelf:
    found: Shelf = client.app.state.engine.shelf  # type: ignore[attr-defined]
    return found


def answer(client: TestClient, model: str = "restore") -> np.ndarray:
    response = client.post(f"/translate?model={model}", content=encoded(pixels()))
    assert response.status_code == 200, response.text
    return decoded(response.content)


def replace(path: Path, content: bytes) -> None:
    """As it should be done: whole, and at once."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, path)


def write_sums(folder: Path, *names: str) -> None:
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.shelf, "PAUSE", 0.0)


def test_the_least_recently_used_is_let_go(weights: Path) -> None:
    shelf = Shelf(Store((weights,)), "cpu", 1, limit=2)
    first = shelf.get("restore")
    shelf.get("noisy")
    assert shelf.get("restore") is first
    shelf.get("double")
    assert shelf.names() == ["restore", "double"]
    assert shelf.get("restore") is first
    shelf.get("noisy")
    assert shelf.names() == ["restore", "noisy"]


def test_preloaded(serve: Serve) -> None:
    with serve(preload="noisy, double", keep=3) as client:
        for _ in range(400):
            if client.get("/readyz").status_code == 200:
                break
            threading.Event().wait(0.01)
        assert shelf_of(client).names() == ["restore", "noisy", "double"]


@pytest.mark.parametrize("broken", ["restore", "noisy"])
def test_one_that_cannot_be_loaded_takes_nothing_else_along(
    serve: Serve, weights: Path, models, broken: str, impatient: None
) -> None:
    (weights / f"{broken}.onnx").write_bytes(b"no model")
    client = serve(preload="noisy, double")
    assert client.post(f"/translate?model={broken}", content=encoded(pixels())).status_code == 500
    assert answer(client, "double").shape == (32, 48, 3)
    assert client.get("/healthz").status_code == 200
    assert [model["name"] for model in client.get("/models").json()["models"]] == sorted({*models} - {broken})
    client.app.state.engine.load()  # type: ignore[attr-defined]
    assert client.get("/readyz").status_code == (503 if broken == "restore" else 200)
    (weights / f"{broken}.onnx").write_bytes(models[broken])
    client.app.state.engine.load()  # type: ignore[attr-defined]
    assert client.get("/readyz").status_code == 200
    answer(client, broken)


def test_a_replaced_file_is_taken_without_a_restart(client: TestClient, weights: Path) -> None:
    before = client.post("/translate", content=encoded(pixels()))
    replace(weights / "restore.onnx", build("identity", name="restore"))
    after = client.post("/translate", content=encoded(pixels()))
    np.testing.assert_array_equal(decoded(after.content), pixels())
    assert before.headers["x-translate-version"] != after.headers["x-translate-version"]
    assert before.headers["etag"] != after.headers["etag"]


@pytest.mark.parametrize("how", ["no model", "another sum", "another signature"])
def test_the_old_one_stays_when_the_new_one_fails(client: TestClient, weights: Path, how: str, models) -> None:
    np.testing.assert_array_equal(answer(client), INVERTED)
    good, path = build("identity", name="restore"), weights / "restore.onnx"
    if how == "another sum":
        write_sums(weights, "restore.onnx")
    replace(path, {"no model": b"no", "another sum": good, "another signature": models["noisy"][:-9]}[how])
    np.testing.assert_array_equal(answer(client), INVERTED)
    assert client.get("/models/restore").status_code == 200
    assert client.get("/readyz").status_code == 200
    # Put right: the sum beside it, or the file
    if how == "another sum":
        write_sums(weights, "restore.onnx")
    else:
        replace(path, good)
    np.testing.assert_array_equal(answer(client), pixels())


def test_a_broken_file_is_not_read_again_for_every_request(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, original = [], Model.open
    monkeypatch.setattr(Model, "open", lambda path, **kw: opened.append(path) or original(path, **kw))
    shelf = Shelf(Store((weights,)), "cpu", 1, limit=2)
    for content in (b"no model", b"nor this"):
        replace(weights / "restore.onnx", content)
        for _ in range(3):
            with pytest.raises(InvalidModel):
                shelf.get("restore")
    assert len(opened) == 2


def test_checksums(serve: Serve, weights: Path) -> None:
    write_sums(weights, "restore.onnx", "noisy.onnx")
    (weights / "noisy.onnx").write_bytes(build("invert", name="noisy"))
    client = serve()
    np.testing.assert_array_equal(answer(client), INVERTED)
    response = client.post("/translate?model=noisy", content=encoded(pixels()))
    assert response.status_code == 500
    assert str(weights) not in response.text
    answer(client, "double")  # of which the sums say nothing


def test_a_file_that_is_gone_is_no_model_any_more(client: TestClient, weights: Path, models) -> None:
    answer(client)
    (weights / "restore.onnx").unlink()
    assert client.post("/translate", content=encoded(pixels())).status_code == 404
    assert "restore" not in shelf_of(client).names()
    (weights / "restore.onnx").write_bytes(models["restore"])
    answer(client)


def slow_to_open(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Set when that model begins to be opened, and to be set so that it may go on."""
    begun, go_on, original = threading.Event(), threading.Event(), Model.open

    def slow_open(path: Path, **kw: Any) -> Model:
        if path.stem == name:
            begun.set()
            assert go_on.wait(20)
        return original(path, **kw)

    monkeypatch.setattr(Model, "open", slow_open)
    return begun, go_on


def test_loading_one_keeps_nobody_waiting_for_another(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(Store((weights,)), "cpu", 1, limit=4)
    old = shelf.get("restore")
    begun, go_on = slow_to_open("noisy", monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(shelf.get, "noisy")
        assert begun.wait(20)
        assert shelf.get("restore") is old
        shelf.get("double")
        go_on.set()
        assert slow.result().model.card.noise is not None


def test_while_a_new_one_is_loaded_the_old_one_serves(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(Store((weights,)), "cpu", 1, limit=4)
    old = shelf.get("restore")
    begun, go_on = slow_to_open("restore", monkeypatch)
    replace(weights / "restore.onnx", build("identity", name="restore"))
    with ThreadPoolExecutor(1) as pool:
        new = pool.submit(shelf.get, "restore")
        assert begun.wait(20)
        assert shelf.get("restore") is old
        go_on.set()
        assert shelf.get("restore") in (old, new.result())
    assert shelf.get("restore") is new.result() is not old


class Crashing:
    """A session out of whose `run` an exception comes."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, *_: object) -> None:
        self.runs += 1
        raise RuntimeError("the runtime fell over")


def crash(loaded: Any) -> Crashing:
    loaded.model._session = crashing = Crashing()
    return crashing


def threads_of(model: Model) -> int:
    found: int = model._session.get_session_options().intra_op_num_threads  # type: ignore[union-attr]
    return found


def test_small_pictures_side_by_side_have_one_thread_each(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.runtime.model.usable_cpus", lambda: 2)
    client = serve(threads=None)
    engine, used = client.app.state.engine, []  # type: ignore[attr-defined]
    call = Model.__call__
    monkeypatch.setattr(Model, "__call__", lambda model, *a, **k: used.append(threads_of(model)) or call(model, *a, **k))
    answer(client)
    monkeypatch.setattr(engine, "several", lambda: True)
    np.testing.assert_array_equal(answer(client), INVERTED)
    monkeypatch.setattr("server.routes.translate.SMALL", INVERTED.shape[0] * INVERTED.shape[1] - 1)
    answer(client)
    assert used == [2, 1, 2]


def test_a_model_is_held_once_where_threads_are_told_or_it_has_changed(weights: Path) -> None:
    told = Shelf(Store((weights,)), "cpu", 2, limit=1).get("restore")
    assert told.single() is told.model
    changed = Shelf(Store((weights,)), "cpu", None, limit=1).get("restore")
    replace(weights / "restore.onnx", build("identity", name="restore"))
    assert changed.single() is changed.model


def test_a_crashed_session_is_made_anew(client: TestClient) -> None:
    crashing = crash(shelf_of(client).get("restore"))
    response = client.post("/translate", content=encoded(pixels()))
    assert response.status_code == 500
    assert "fell over" not in response.text
    np.testing.assert_array_equal(answer(client), INVERTED)
    assert crashing.runs == 1
    assert client.get("/healthz").status_code == 200


def test_a_model_that_always_crashes_is_not_made_anew_for_every_request(client: TestClient) -> None:
    shelf = shelf_of(client)
    crash(shelf.get("restore"))
    client.post("/translate", content=encoded(pixels()))
    crash(shelf.get("restore"))
    again = shelf.get("restore")
    for _ in range(3):
        assert client.post("/translate", content=encoded(pixels())).status_code == 500
    assert shelf.get("restore") is again


def test_many_crash_at_once_and_one_makes_it_anew(weights: Path, impatient: None) -> None:
    shelf = Shelf(Store((weights,)), "cpu", 1, limit=4)
    loaded = shelf.get("restore")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: shelf.rebuild("restore", loaded), range(4)))
    fresh = shelf.get("restore")
    assert fresh is not loaded
    shelf.rebuild("restore", loaded)
    assert shelf.get("restore") is fresh


def test_beyond_repair_the_process_asks_to_be_started_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = shelf_of(client)
    loaded = shelf.get("restore")

    def fails(*_: object, **__: object) -> None:
        raise InvalidModel("the device is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Model, "open", fails)
        shelf.rebuild("restore", loaded)
    assert client.get("/healthz").status_code == 503
    shelf.rebuild("restore", loaded)
    assert client.get("/healthz").status_code == 200


def test_translation_failed_is_what_the_runtime_raises(weights: Path) -> None:
    loaded = Shelf(Store((weights,)), "cpu", 1, limit=1).get("restore")
    crash(loaded)
    with pytest.raises(TranslationFailed, match="fell over"):
        loaded.model(encoded(pixels()))


# Mutants tried: models are loaded under the lock; a change of SHA256SUMS alone is not seen; rebuild does not look at who crashed;
# the most recently used is let go.
