"""The main job in small: a recipe trains ten steps, exports, and the file serves, over HTTP, in Python and over a folder."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

import translate
from server.app import create_app
from server.settings import Settings
from tests.small_training import SMALL
from translate.cli.batch import app as batch
from translate.cli.export import app as export
from translate.cli.train import app as train
from translate.runtime.store import Store
from translate.training.recipe import Recipe
from translate.training.run import resume_run


@pytest.fixture(scope="module")
def run(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "restore"
    arguments = ["restore.toml", "--data", str(photographs), "--out", str(folder)]
    for setting in (*SMALL, "steps=10", "validate_every=5", "optimisers.generator.warmup=0", "optimisers.generator.lr=0.01"):
        arguments += ["--set", setting]
    result = CliRunner().invoke(train, arguments)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (45, 67, 3), dtype=np.uint8))


def by_torch(run: Path, picture: Image.Image) -> np.ndarray:
    """The best checkpoint's answer, from PyTorch, in 0..255 and not rounded."""
    network = Recipe.load(run / "recipe.toml").build().translator
    step = json.loads((run / "best.json").read_text())["step"]
    network.load_state_dict(load_file(run / "checkpoints" / f"{step:08d}" / "ema.safetensors"))
    x = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    stride = network.stride
    padded = nn.functional.pad(x, (0, -picture.width % stride, 0, -picture.height % stride), mode="replicate")  # type: ignore[operator]
    with torch.no_grad():
        y = network(padded)[0, :, : picture.height, : picture.width].clamp(-1, 1)
    return ((y + 1) * 127.5).permute(1, 2, 0).numpy()


def test_torch_python_and_http_agree(run: Path, picture: Image.Image) -> None:
    wanted = by_torch(run, picture)
    in_python = np.asarray(translate.load(run / "restore.onnx")(picture))
    assert np.abs(in_python - wanted).max() < 0.55  # half a step of rounding, and the gate's tolerance
    assert np.abs(in_python.astype(int) - np.asarray(picture)).max() > 0

    sent = io.BytesIO()
    picture.save(sent, "PNG")
    with TestClient(create_app(Settings(weights=(run,)))) as client:
        answer = client.post("/translate", content=sent.getvalue())
        card = client.get("/models/restore").json()
    assert answer.status_code == 200
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), in_python)
    assert card == json.loads(translate.load(run / "restore.onnx").card.model_dump_json())
    assert card["metrics"].keys() >= {"old/psnr", "noise25/psnr", "clean/psnr"}
    assert card["recipe"]["steps"] == 10
    assert card["data"] == [str(resume_run(run).task)]  # what it was trained on, and nothing that the recipe only claims


def test_a_folder_comes_back(run: Path, picture: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "scan.png")
    result = CliRunner().invoke(
        batch, [str(tmp_path / "in"), str(tmp_path / "out"), "--model", str(run / "restore.onnx")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    restored = np.asarray(Image.open(tmp_path / "out" / "scan.png"))
    assert np.array_equal(restored, np.asarray(translate.load(run / "restore.onnx")(picture)))


def test_the_run_folder_tells_what_happened(run: Path) -> None:
    assert {"recipe.toml", "metrics.jsonl", "best.json", "restore.onnx", "restore.md"} <= {path.name for path in run.iterdir()}
    assert "# restore" in (run / "restore.md").read_text(encoding="utf-8")
    assert [path.name for path in sorted((run / "previews").iterdir())] == ["00000005.png", "00000010.png"]
    assert list((run / "tensorboard").iterdir())


def test_a_finished_run_resumed_is_content(run: Path) -> None:
    before = (run / "metrics.jsonl").read_bytes()
    result = CliRunner().invoke(train, ["--resume", str(run)])
    assert result.exit_code == 0, result.output
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_run_is_not_overwritten(run: Path, photographs: Path) -> None:
    result = CliRunner().invoke(train, ["restore.toml", "--data", str(photographs), "--out", str(run)])
    assert result.exit_code == 1
    assert "--resume" in result.output


def test_an_exported_translator_is_named_by_its_file(run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(export, [str(run), "--out", str(tmp_path / "other.onnx")])
    assert result.exit_code == 0, result.output
    assert Store([tmp_path]).load("other").card.name == "other"
    assert "# other" in (tmp_path / "other.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["other", "Other.onnx", "two words.onnx", ".onnx"])
def test_names_under_which_nothing_is_found_are_refused(run: Path, name: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(export, [str(run), "--out", str(tmp_path / name)])
    assert result.exit_code == 1
    assert "named by its file" in result.output
    assert not list(tmp_path.iterdir())


def test_exporting_needs_a_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(export, [str(tmp_path)])
    assert result.exit_code == 1
    assert "no run folder" in result.output
