"""Runs: stopped and resumed to the same bits, started from one another, and clear about what went wrong."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.small_training import SMALL
from translate.cli.train import app
from translate.training import checkpoint
from translate.training.run import create, resume_run, train


@pytest.mark.parametrize("adversarial", [0.0, 0.1])
def test_stopped_and_resumed_is_the_same_to_the_bit(photographs: Path, tmp_path: Path, adversarial: float) -> None:
    settings = [*SMALL, f"model.adversarial={adversarial}"]
    whole = train(create("restore.toml", photographs, tmp_path / "whole", settings), lambda *_: None)

    def stop(step: int, _: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    stopped = create("restore.toml", photographs, tmp_path / "stopped", settings)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, stop)
    assert checkpoint.latest(stopped.folder).name == "00000004"  # type: ignore[union-attr]
    train(resume_run(stopped.folder), lambda *_: None)

    assert whole.parent.name == "checkpoints"
    for name in ("weights", "ema", "optimizer"):
        one, other = (
            load_file(checkpoint.folder(run, 6) / f"{name}.safetensors") for run in (tmp_path / "whole", stopped.folder)
        )
        assert one.keys() == other.keys()
        assert all(one[key].equal(other[key]) for key in one), name
    logged = [json.loads(line) for line in (stopped.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged if "lr" in line] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "whole" / "metrics.jsonl").read_text() == (stopped.folder / "metrics.jsonl").read_text()


def test_a_damaged_checkpoint_is_passed_over(photographs: Path, tmp_path: Path) -> None:
    run = create("restore.toml", photographs, tmp_path / "run", list(SMALL))
    train(run, lambda *_: None)
    newest = checkpoint.folder(run.folder, 6) / "weights.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    assert checkpoint.latest(run.folder) != newest.parent


def test_training_starts_from_another_run(photographs: Path, tmp_path: Path) -> None:
    first = train(create("restore.toml", photographs, tmp_path / "first", list(SMALL)), lambda *_: None)
    settings = [*SMALL, "steps=1", f"start={tmp_path / 'first'}", "optimisers.generator.lr=1e-12"]
    train(create("restore.toml", photographs, tmp_path / "second", settings), lambda *_: None)
    began = load_file(checkpoint.folder(tmp_path / "second", 1) / "weights.safetensors")
    for name, value in load_file(first / "ema.safetensors").items():
        assert began[f"G.{name}"].allclose(value, atol=1e-6)


def test_a_diverging_run_says_where(photographs: Path, tmp_path: Path) -> None:
    run = create("restore.toml", photographs, tmp_path / "run", [*SMALL, "model.l1=1e39"])
    with pytest.raises(FloatingPointError, match="step 1: the loss of the generator"):
        train(run, lambda *_: None)


@pytest.mark.parametrize(
    "arguments", [[], ["restore.toml"], ["restore.toml", "--data", "nowhere", "--out", "x"], ["--resume", "x"]]
)
def test_mistakes_end_with_a_message(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.output.startswith("error:")
