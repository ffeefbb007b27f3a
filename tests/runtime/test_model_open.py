"""Model.open: a clear word for every file and every device that cannot work."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from threading import Barrier, Lock
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.conftest import MakeModel
from tests.runtime.pictures import random_picture
from tests.tiny_models import Graph, build, to_bytes
from translate.runtime import model as model_module
from translate.runtime.errors import DeviceUnavailable, InvalidModel, PictureTooLarge, TranslationFailed
from translate.runtime.model import Model, read_card
from translate.runtime.tiles import Grid

Pixels = np.ndarray


# Limits and faults


def test_a_model_that_needs_the_whole_picture_gets_it(make_model: MakeModel, small_tiles: None) -> None:
    pixels = Model.open(make_model("mean"))(random_picture(60, 60)).pixels
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 1


def test_a_model_that_needs_the_whole_picture_refuses_a_huge_one(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "WHOLE_LIMIT", 10_000)
    model = Model.open(make_model("mean"))
    assert model(random_picture(100, 100)).height == 100
    with pytest.raises(PictureTooLarge, match=r"one piece.*101 x 100"):
        model(random_picture(100, 101))


def test_no_numbers_are_an_error_and_no_black_picture(make_model: MakeModel) -> None:
    with pytest.raises(TranslationFailed, match="no numbers"):
        Model.open(make_model("nan"))(random_picture(5, 5))


def test_an_answer_of_another_size_is_an_error(make_model: MakeModel) -> None:
    with pytest.raises(InvalidModel, match="answered 5 x 4 pixels"):
        Model.open(make_model("identity", scale=2))(random_picture(4, 5))


def test_threads_share_a_model(make_model: MakeModel, small_tiles: None) -> None:
    model = Model.open(make_model("blur"), threads=1)
    pictures = [random_picture(40 + index, 50, seed=index) for index in range(12)]
    expected = [model(picture).pixels for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for result, pixels in zip(pool.map(model, pictures), expected, strict=True):
            np.testing.assert_array_equal(result.pixels, pixels)


@pytest.mark.parametrize(("threads", "at_once"), [(None, 1), (4, 1), (2, 2), (1, 4), (9, 1)])
def test_no_more_tiles_at_once_than_have_cpus(
    threads: int | None, at_once: int, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight threads, of which only so many may meet in the network: each of those waits there for the others."""
    monkeypatch.setattr(model_module, "usable_cpus", lambda: 4)
    model = Model.open(make_model("identity"), threads=threads)
    run, inside, most, everybody = model._session.run, 0, 0, Barrier(at_once)
    lock = Lock()

    def counted(*arguments: object) -> object:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        everybody.wait(20)
        time.sleep(0.01)  # one too many would come in meanwhile
        try:
            return run(*arguments)
        finally:
            with lock:
                inside -= 1

    model._session = SimpleNamespace(run=counted)  # type: ignore[assignment]
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(model, [random_picture(9, 9)] * 8))) == 8
    assert most == at_once


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_files_that_are_no_models(tmp_path: Path, make_model: MakeModel) -> None:
    good = make_model("blur").read_bytes()
    for content in (b"", b"no onnx at all", good[: len(good) // 2], good[:200], b"\x00" * 1000):
        with pytest.raises(InvalidModel, match=r"bad\.onnx"):
            Model.open(written(tmp_path / "bad.onnx", content))
        with pytest.raises(InvalidModel, match=r"bad\.onnx"):
            read_card(tmp_path / "bad.onnx")
    for absent in (tmp_path, tmp_path / "absent.onnx"):
        with pytest.raises(InvalidModel, match="not a file"):
            Model.open(absent)


def identity_with(inputs: list[tuple[str, int]], card: str | None, output_sum: bool = False) -> bytes:
    graph = Graph()
    graph.add(
        "Sum" if output_sum else "Identity",
        *[name for name, _ in inputs][: len(inputs) if output_sum else 1],
        output="translated",
    )
    return to_bytes(graph, inputs, card)


def test_models_that_are_not_what_their_card_says(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    plain = read_card(written(path, build("identity"))).model_dump_json()
    noisy = read_card(written(path, build("noisy"))).model_dump_json()
    cases = {
        "translate-export": identity_with([("image", 3)], None),
        "cannot read": identity_with([("image", 3)], plain.replace('"format":1', '"format":9')),
        "inputs are picture": identity_with([("picture", 3)], plain),
        "inputs are image, noise": identity_with([("image", 3), ("noise", 3)], plain, output_sum=True),
        "promises image, noise": identity_with([("image", 3)], noisy),
        "input noise is": identity_with([("image", 3), ("noise", 1)], noisy, output_sum=True),
        "H and W free": fixed_size(identity_with([("image", 3)], plain)),
    }
    for message, content in cases.items():
        with pytest.raises(InvalidModel, match=message):
            Model.open(written(path, content))


def fixed_size(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 256
    return bytes(model.SerializeToString())


def test_the_card_without_the_model(make_model: MakeModel) -> None:
    path = make_model("pool", metrics={"psnr": 31.5}, licence="CC0-1.0")
    assert read_card(path) == Model.open(path).card
    assert read_card(path).metrics == {"psnr": 31.5}


# Devices


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cpu:1", ""])
def test_unknown_devices(make_model: MakeModel, device: str) -> None:
    with pytest.raises(DeviceUnavailable, match="unknown device"):
        Model.open(make_model("identity"), device=device)


def test_cuda_that_is_not_installed_is_an_error(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceUnavailable, match="onnxruntime-gpu"):
        Model.open(make_model("identity"), device="cuda")


def test_cuda_that_does_not_start_is_an_error(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    start = onnxruntime.InferenceSession

    def without_cuda(path: str, options: object, providers: list[object], **others: object) -> onnxruntime.InferenceSession:
        assert others == {"enable_fallback": 0}
        assert providers[0] == ("CUDAExecutionProvider", {"device_id": "1", "cudnn_conv_algo_search": "HEURISTIC"})
        return start(path, options, providers=providers[1:])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_cuda)
    with pytest.raises(DeviceUnavailable, match="did not start"):
        Model.open(make_model("identity"), device="cuda:1")


def test_two_runtimes_at_once_are_refused(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distributions", lambda name: [name] if name != "onnxruntime-openvino" else [])
    with pytest.raises(DeviceUnavailable, match="onnxruntime and onnxruntime-gpu overwrite"):
        Model.open(make_model("identity"))


def test_nothing_is_reported_to_anybody(make_model: MakeModel, tmp_path: Path) -> None:
    """ONNX Runtime's first session writes an identifier and a queue of reports under HOME, unless it was told not to before."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    code = f"import translate; translate.load({str(make_model())!r})"
    subprocess.run([sys.executable, "-c", code], env=kept | {"HOME": str(home)}, timeout=60, check=True)
    assert list(home.rglob("*")) == []


def test_what_somebody_said_of_reports_stands() -> None:
    code = "import os, translate; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    told = os.environ | {"ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "0\n"


def test_the_number_of_threads(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "usable_cpus", lambda: 3)
    path = make_model("identity")
    assert Model.open(path)._session.get_session_options().intra_op_num_threads == 3
    assert Model.open(path, threads=2)._session.get_session_options().intra_op_num_threads == 2


def test_grid_of_a_small_picture_is_one_tile(make_model: MakeModel) -> None:
    assert Model.open(make_model("pool"))._grid(640, 480, 0) == Grid.whole(640, 480)


# Mutants tried: tiles take no turns; one at once whatever the number of threads.
