"""OpenVINO gives the pictures that ONNX Runtime gives, and says clearly where it cannot."""

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from server.settings import Settings
from server.shelf import Shelf
from tests.conftest import MakeModel
from tests.runtime.pictures import random_picture, smooth
from translate.cli.batch import app
from translate.runtime.errors import DeviceUnavailable, InvalidModel, TranslationFailed
from translate.runtime.model import Model
from translate.runtime.openvino import OpenVinoSession, _core
from translate.runtime.picture import Picture
from translate.runtime.store import Store


def test_a_missing_package_is_named_with_its_remedy(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceUnavailable, match=r"image-translate\[openvino\]"):
        Model.open(make_model("identity"), device="openvino")


if importlib.util.find_spec("openvino") is None:  # imported as it is, it would write into the home folder
    pytest.skip("the extra openvino is not installed", allow_module_level=True)
KINDS = ["identity", "blur", "pool", "double", "noisy", "mean", "settle"]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_those_of_onnx_runtime(make_model: MakeModel, small_tiles: None, kind: str, bits: int) -> None:
    path, picture = make_model(kind), random_picture(31, 70, bits=bits)
    wanted, found = (
        Model.open(path, device=device, threads=1)(picture, seed=3).pixels.astype(int) for device in ("cpu", "openvino")
    )
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= (1 if bits == 8 else 3)


def test_bfloat16_is_near_or_refused(make_model: MakeModel) -> None:
    path, picture = make_model("blur", depth=2), Picture(smooth(40, 60))
    if "BF16" in _core("openvino").get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        wanted, found = (Model.open(path, device=device)(picture).pixels / 255 for device in ("cpu", "openvino-bf16"))
        assert np.square(found - wanted).mean() < 10**-3.5
    else:
        with pytest.raises(DeviceUnavailable, match="bfloat16"):
            Model.open(path, device="openvino-bf16")


def test_threads_share_one(make_model: MakeModel) -> None:
    model, reference = (Model.open(make_model("blur"), device=device, threads=1) for device in ("openvino", "cpu"))
    pictures = [random_picture(20 + 3 * (seed % 4), 30, seed=seed) for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(model, pictures))
    for picture, result in zip(pictures, found, strict=True):
        assert np.abs(result.pixels.astype(int) - reference(picture).pixels).max() <= 1


def test_answers_do_not_change_when_it_runs_again(make_model: MakeModel) -> None:
    session = OpenVinoSession(make_model("blur"), "openvino", 1, 1)
    image = np.random.default_rng(0).random((1, 8, 9, 3), dtype=np.float32)
    (first,) = session.run(["translated"], {"image": image})
    kept = first.copy()
    session.run(["translated"], {"image": 1 - image})
    np.testing.assert_array_equal(first, kept)


def test_what_is_no_model_or_computes_no_numbers(make_model: MakeModel, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    for path in (tmp_path / "broken.onnx", tmp_path / "nowhere.onnx"):
        with pytest.raises(InvalidModel, match=path.stem):
            Model.open(path, device="openvino")
    with pytest.raises(TranslationFailed, match="no numbers"):
        Model.open(make_model("nan"), device="openvino")(random_picture(4, 4))


def test_batches_and_servers_take_it(make_model: MakeModel, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_model("invert")
    picture = next(iter(sorted(scans.rglob("*.png"))))
    for device in ("cpu", "openvino"):
        arguments = [str(picture), str(tmp_path / f"{device}.png"), "--model", str(path), "--device", device]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    wanted, found = (Picture.open(tmp_path / f"{device}.png").pixels for device in ("cpu", "openvino"))
    np.testing.assert_array_equal(found, wanted)
    monkeypatch.setenv("TRANSLATE_DEVICE", "openvino")
    shelf = Shelf(Store([path.parent]), Settings().device, None, 1)
    assert isinstance(shelf.get("invert").model._session, OpenVinoSession)


def test_it_calls_nobody_and_writes_nothing(make_model: MakeModel, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys\n"
        "calls = ('socket.connect', 'socket.getaddrinfo', 'socket.sendto')\n"
        "sys.addaudithook(lambda event, _: event in calls and sys.exit(event))\n"
        "import translate; from PIL import Image\n"
        f"translate.load({str(make_model('invert'))!r}, device='openvino')(Image.new('RGB', (5, 4)))\n"
        "assert not [name for name in sys.modules if 'telemetry' in name]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (home / "intel").exists()
