"""The settings, and the places that name them."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from server.settings import Settings, describe
from translate.cli.serve import app

VARIABLES = [name for name, _, _ in describe()]


def test_docs_and_settings_name_the_same() -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    table = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `TRANSLATE_")}
    assert list(table) == VARIABLES
    for name, default, description in describe():
        shown = f" `{default}` " if default else " "
        assert table[name] == f"| `{name}` |{shown}| {description} |"


def test_help_names_every_setting() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    assert all(name in text for name in VARIABLES)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSLATE_WEIGHTS", os.pathsep.join(["a", "b"]))
    monkeypatch.setenv("TRANSLATE_QUEUE", "3")
    settings = Settings(queue=5)
    assert settings.weights == (Path("a"), Path("b"))
    assert settings.queue == 5
    assert Settings().queue == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "70000"), ("QUEUE", "-1"), ("WORKERS", "0"), ("DEVICE", "tpu"), ("TIMEOUT", "0"), ("MAX_BYTES", "many")],
)
def test_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"TRANSLATE_{name}", value)
    with pytest.raises(ValidationError):
        Settings()
    result = CliRunner().invoke(app, [])
    assert result.exit_code != 0
    assert f"TRANSLATE_{name}" in result.output


@pytest.fixture
def folder(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRANSLATE_WEIGHTS", str(weights))
    return weights


def test_missing_model_ends_the_start(folder: Path) -> None:
    result = CliRunner().invoke(app, ["--port", "0", "--model", "nothing"])
    assert result.exit_code == 1
    assert "nothing" in result.output
    assert "restore" in result.output


def test_a_broken_model_ends_the_start_where_it_is_the_only_one(folder: Path) -> None:
    for path in folder.glob("*.onnx"):
        path.unlink()
    (folder / "restore.onnx").write_bytes(b"broken")
    result = CliRunner().invoke(app, ["--port", "0"])
    assert result.exit_code == 1
    assert "restore.onnx" in result.output


def test_misspelt_setting_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSLATE_QEUE", "3")
    assert "TRANSLATE_QEUE" in CliRunner().invoke(app, ["--port", "0", "--model", "nothing"]).output
