"""The settings, and the places that name them."""

import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from server.settings import Settings, describe
from translate.cli import serve
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
    [
        *(("PORT", "70000"), ("QUEUE", "-1"), ("WORKERS", "0"), ("DEVICE", "tpu"), ("TIMEOUT", "0"), ("MAX_BYTES", "many")),
        *(("TIMEOUT", "inf"), ("UPLOAD_TIMEOUT", "nan"), ("RATE", "0/minute")),
        *(("HOSTS", "http://a.example"), ("HOSTS", "a.example:80")),
    ],
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


def test_a_broken_default_takes_nothing_else_along(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "restore.onnx").write_bytes(b"broken")
    begun = []
    monkeypatch.setattr(serve._Server, "run", lambda *_, **__: begun.append(True))
    monkeypatch.setattr(serve.logs, "configure", lambda _: None)
    assert CliRunner().invoke(app, ["--port", "0"]).exit_code == 0
    assert begun


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KEYS", "nowhere.txt", "nowhere.txt"),
        ("RATE", "often", "TRANSLATE_RATE"),
        ("KEEP", "0", "TRANSLATE_KEEP"),
        ("PRELOAD", "a,b,c,d", "TRANSLATE_KEEP"),
        ("ORIGINS", "example.org", "TRANSLATE_ORIGINS"),
        ("LOG", "xml", "TRANSLATE_LOG"),
    ],
)
def test_what_cannot_be_is_told_at_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TRANSLATE_{name}", value)
    result = CliRunner().invoke(app, ["--port", "0"])
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def test_traces_without_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSLATE_TRACES", "http://127.0.0.1:4318/v1/traces")
    monkeypatch.setitem(sys.modules, "server.tracing", None)
    result = CliRunner().invoke(app, ["--port", "0"])
    assert result.exit_code == 1
    assert "image-translate[otel]" in result.output


def test_misspelt_setting_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSLATE_QEUE", "3")
    assert "TRANSLATE_QEUE" in CliRunner().invoke(app, ["--port", "0", "--model", "nothing"]).output
