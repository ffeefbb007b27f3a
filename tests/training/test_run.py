"""Runs: stopped and resumed to the same bits, started from one another, and clear about what went wrong."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim import Optimizer
from torch.utils.data import Dataset
from typer.testing import CliRunner

from tests.small_training import SMALL
from translate.cli.train import app
from translate.gan.stabilisers import EMA
from translate.models import System
from translate.training import checkpoint
from translate.training.batches import batches
from translate.training.log import Log
from translate.training.recipe import Recipe
from translate.training.run import create, resume_run, train
from translate.training.samples import Modes

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


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
    assert [line["step"] for line in logged if "lr/generator" in line] == [1, 2, 3, 4, 5, 6]
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


def test_a_kill_between_checkpoint_and_best_is_made_good(photographs: Path, tmp_path: Path) -> None:
    run = create("restore.toml", photographs, tmp_path / "run", list(SMALL))
    train(run, lambda *_: None)
    best = (run.folder / "best.json").read_text()
    (run.folder / "best.json").unlink()
    train(resume_run(run.folder), lambda *_: None)
    assert (run.folder / "best.json").read_text() == best


def test_workers_start_after_opencv_has_used_threads(photographs: Path, tmp_path: Path) -> None:
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.float32), (0, 0), 3)
    run = create("restore.toml", photographs, tmp_path / "run", [*SMALL, "steps=1", "workers=1"])
    train(run, lambda *_: None)
    assert cv2.getNumThreads() == 1


def test_a_half_written_line_of_metrics_does_not_stop_a_resume(photographs: Path, tmp_path: Path) -> None:
    def stop(step: int, _: object) -> None:
        if step == 3:
            raise KeyboardInterrupt

    run = create("restore.toml", photographs, tmp_path / "run", [*SMALL, "data.holdout=0"])
    with pytest.raises(KeyboardInterrupt):
        train(run, stop)
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "gener')
    train(resume_run(run.folder), lambda *_: None)
    assert [json.loads(line)["step"] for line in (run.folder / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3, 4, 5, 6]


def test_without_held_out_pictures_the_last_checkpoint_is_exported(photographs: Path, tmp_path: Path) -> None:
    arguments = ["restore.toml", "--data", str(photographs), "--out", str(tmp_path / "run")]
    for setting in (*SMALL, "data.holdout=0", "steps=1"):
        arguments += ["--set", setting]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "held out: 0 photographs, 0 pairs" in result.output
    assert (tmp_path / "run" / "restore.onnx").is_file()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("generator.wdth=3", "wdth"),
        ("data.noise=0.9", "shares"),
        ("optimisers.generater.lr=1", "did you mean generator"),
        ("device=tpu", "device = 'tpu' cannot be used"),
        ("data.size=33", "multiple of the generator's stride"),
        ("optimisers.generator.betas=[0.5, 2]", "betas"),
        ("start=nowhere", "nowhere"),
        ("device=abacus", "device = 'abacus'"),
        pytest.param(
            "device=cuda", "device = 'cuda'", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
        ),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(photographs: Path, tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create("restore.toml", photographs, tmp_path / "run", [*SMALL, setting])
    assert not list(tmp_path.iterdir())


def test_a_measure_that_is_not_taken_is_told_before_training(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose from old/psnr"):
        create("restore.toml", photographs, tmp_path / "run", [*SMALL, "select=old/pnsr"])
    assert not (tmp_path / "run").exists()
    run = create("restore.toml", photographs, tmp_path / "run", list(SMALL))
    told = replace(run, recipe=run.recipe.model_copy(update={"select": "old/pnsr"}))  # as where pictures are others by now
    with pytest.raises(ValueError, match="choose from old/psnr"):
        train(told, lambda *_: pytest.fail("it trained"))


def test_two_trainers_do_not_share_a_folder(photographs: Path, tmp_path: Path) -> None:
    run = create("restore.toml", photographs, tmp_path / "run", list(SMALL))

    def second(step: int, _: object) -> None:
        with pytest.raises(ValueError, match="another process"):
            train(resume_run(run.folder), lambda *_: pytest.fail("it trained"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, second)


def test_a_finished_run_is_not_read_again(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best = train(create("restore.toml", photographs, tmp_path / "run", list(SMALL)), lambda *_: None)
    monkeypatch.setattr("translate.data.paired.read", lambda path: pytest.fail(f"{path} was read"))
    assert train(resume_run(tmp_path / "run"), lambda *_: None) == best


def test_a_start_of_another_network_is_refused(photographs: Path, tmp_path: Path) -> None:
    train(create("restore.toml", photographs, tmp_path / "first", [*SMALL, "steps=1"]), lambda *_: None)
    settings = [*SMALL, f"start={tmp_path / 'first'}", "generator.width=6"]
    with pytest.raises(ValueError, match="another network"):
        train(create("restore.toml", photographs, tmp_path / "second", settings), lambda *_: None)


@pytest.mark.skipif(resource is None, reason="no limits on this system")
def test_a_full_disk_ends_clearly_and_keeps_the_last_checkpoint(photographs: Path, tmp_path: Path) -> None:
    run = create("restore.toml", photographs, tmp_path / "run", list(SMALL))
    tensors = checkpoint.tensors(*recipe_parts(run.recipe))
    checkpoint.save(run.folder, 1, tensors, {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"weights\.safetensors"):
            checkpoint.save(run.folder, 2, tensors, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.latest(run.folder) == checkpoint.folder(run.folder, 1)


def recipe_parts(recipe: Recipe) -> tuple[System, EMA, dict[str, Optimizer]]:
    model = recipe.build()
    return model, EMA(model.translator), {"generator": torch.optim.AdamW(model.translator.parameters())}


def test_a_diverging_run_says_where_and_keeps_what_led_to_it(photographs: Path, tmp_path: Path) -> None:
    run = create(
        "restore.toml", photographs, tmp_path / "run", [*SMALL, "optimisers.generator.lr=1e20", "optimisers.generator.warmup=0"]
    )
    with pytest.raises(
        FloatingPointError, match=r"step \d: the (loss|gradient) of the generator is .*learning from .*\.png"
    ) as told:
        train(run, lambda *_: None)
    step = int(str(told.value).split()[1].rstrip(":"))
    kept = run.folder / "diverged" / f"{step - 1:08d}"
    assert str(kept) in str(told.value)
    why = json.loads((kept / "state.json").read_text())["diverged"]
    assert (why["step"], why["player"]) == (step, "generator")
    assert all((photographs / Path(name).name).is_file() for name in why["files"])
    assert load_file(kept / "batch.safetensors")["0/x"].shape == (2, 3, 32, 32)
    assert checkpoint.damage(kept) is None
    found = checkpoint.latest(run.folder)
    assert (found.parent.name if found else "checkpoints") == "checkpoints"
    with pytest.raises(FloatingPointError, match=f"step {step}"):  # it comes to the same point
        train(resume_run(run.folder), lambda *_: None)


def test_a_disk_that_is_full_ends_the_run_in_words(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = checkpoint.save_file

    def full(tensors: object, path: Path) -> None:
        if "00000004" in str(path):
            raise OSError(28, "No space left on device")
        real(tensors, path)  # type: ignore[arg-type]

    run = create("restore.toml", photographs, tmp_path / "run", [*SMALL, "data.holdout=0"])
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(
        OSError, match=r"00000004 cannot be written.*No space left.*00000002 stands: go on from there with .*--resume"
    ):
        train(run, lambda *_: None)
    monkeypatch.undo()
    assert train(resume_run(run.folder), lambda *_: None) == checkpoint.folder(run.folder, 6)


def test_speed_memory_and_every_learning_rate_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Modes.__init__, "__defaults__", (80, ()))  # nothing is measured
    settings = ["steps=6", "log_every=2", "device=cpu", "generator.width=4", "critic.network.width=4", "generator.norm=none"]
    run = create("wgan-ring.toml", None, tmp_path / "run", [*settings, "select=", "checkpoint_every=6", "validate_every=6"])
    train(run, lambda *_: None)
    events, metrics = (
        [json.loads(line) for line in (run.folder / name).read_text().splitlines()] for name in ("events.jsonl", "metrics.jsonl")
    )
    assert [event["step"] for event in events] == [2, 4, 6]
    assert all(event["pictures_per_s"] > 0 for event in events)
    assert all(event["memory_gib"] > 0 for event in events if resource)
    rows = [line for line in metrics if "lr/critic" in line]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert all({"lr/generator", "score/D/real", "score/D/fake"} <= row.keys() for row in rows)
    assert all(row["wasserstein/D"] == pytest.approx(row["score/D/real"] - row["score/D/fake"], abs=2e-6) for row in rows)


@pytest.mark.parametrize(
    "arguments", [[], ["restore.toml"], ["restore.toml", "--data", "nowhere", "--out", "x"], ["--resume", "x"]]
)
def test_mistakes_end_with_a_message(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.output.startswith("error:")


def test_a_run_that_started_from_another_goes_on_without_it(photographs: Path, tmp_path: Path) -> None:
    train(create("restore.toml", photographs, tmp_path / "first", [*SMALL, "steps=2"]), lambda *_: None)

    def stop(step: int, _: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    second = create("restore.toml", photographs, tmp_path / "second", [*SMALL, f"start={tmp_path / 'first'}"])
    with pytest.raises(KeyboardInterrupt):
        train(second, stop)
    shutil.rmtree(tmp_path / "first")
    assert train(resume_run(second.folder), lambda *_: None).is_dir()


def test_tensorboard_keeps_what_was_logged_at_the_checkpoint(tmp_path: Path) -> None:
    for first, steps in ((0, (1, 2, 3)), (2, (3, 4))):
        with Log(tmp_path, first) as log:
            for step in steps:
                log.measured(step, {"loss": step + first / 10})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, round(event.value, 1)) for event in events.Scalars("loss")] == [(1, 1), (2, 2), (3, 3.2), (4, 4.2)]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 1), (2, 2), (3, 3.2), (4, 4.2)]


def test_small_rates_are_not_rounded_away(tmp_path: Path) -> None:
    with Log(tmp_path, 0) as log:
        log.measured(1, {"lr/generator": 1.2345678e-8})
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["lr/generator"] == 1.234568e-8


def test_pictures_that_changed_since_are_told(photographs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = create("restore.toml", photographs, tmp_path / "run", list(SMALL))
    resume_run(run.folder)
    assert "the pictures are others" not in caplog.text
    told = json.loads((run.folder / "data.json").read_text())
    (run.folder / "data.json").write_text(json.dumps(told | {"found": "3 pictures"}))
    resume_run(run.folder)
    assert "the pictures are others than at the beginning" in caplog.text
    assert "before: 3 pictures" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")
def test_what_a_worker_meets_is_one_line(tmp_path: Path) -> None:
    class Unreadable(Dataset[Any]):
        def __getitem__(self, index: int) -> Any:
            raise ValueError("photo.png cannot be read as a picture: cut short")

    recipe = Recipe.load("gan-ring.toml", ["steps=5", "workers=1"])
    with pytest.raises(ValueError, match=r"^photo\.png cannot be read as a picture: cut short$"):
        next(batches(recipe, Unreadable(), 0, None))


def test_a_worker_that_is_killed_ends_in_words(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> object:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    run = create("restore.toml", photographs, tmp_path / "run", list(SMALL))
    monkeypatch.setattr("translate.training.fit.batches", lambda *_: iter(killed, None))
    with pytest.raises(
        OSError, match=r"ended from outside.*there is no checkpoint yet: begin again with translate-train --resume"
    ):
        train(run, lambda *_: None)
