"""Runs of generative systems: to the same bits after a stop, judged as they go, and refused where parts do not fit."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.small_training import stop_and_compare
from translate.cli.train import app
from translate.training import checkpoint
from translate.training.run import create, train

TINY = ("steps=6", "batch=8", "log_every=1", "checkpoint_every=2", "validate_every=6", "device=cpu")
POINTS = ("generator.width=8", "critic.network.width=8")
DIGITS = (*POINTS, "data.size=8", "generator.size=8")

RUNS = {
    "wgan-ring": POINTS,
    "wgan-gp-ring": POINTS,
    "sngan-ring": POINTS,
    "ebgan-ring": (*POINTS, "model.pretrain=3"),
    "loss-sensitive-ring": (
        *POINTS,
        'critic.stabilisers=[{name="historical-averaging"}, {name="instance-noise", start=0.5, steps=5}]',
    ),
    "gan-ring": (
        *POINTS,
        "ema=0.9",
        "generator.norm=batch",
        "model.virtual=4",
        'critic.stabilisers=[{name="minibatch-discrimination"}]',
    ),
    "dcgan-digits": (*DIGITS, "critic.network.size=8"),
    "infogan-digits": (*DIGITS, "critic.network.size=8"),
    "vaegan-digits": (*DIGITS, "critic.network.size=8", "encoder.size=8", "encoder.width=8"),
}


@pytest.fixture(autouse=True)
def quick_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    from translate.training.samples import DigitClassifier, Digits, Modes

    trained = DigitClassifier.trained
    monkeypatch.setattr(DigitClassifier, "trained", lambda data: trained(data, steps=2, batch=8))
    for judge in (Digits, Modes):
        monkeypatch.setattr(judge.__init__, "__defaults__", (80, *judge.__init__.__defaults__[1:]))  # type: ignore[misc]


@pytest.mark.parametrize("name", RUNS)
def test_stopped_and_resumed_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    stop_and_compare(f"{name}.toml", None, tmp_path, [*TINY, *RUNS[name]])


def test_players_move_in_their_turn(tmp_path: Path) -> None:
    run = create("wgan-ring.toml", None, tmp_path / "run", [*TINY, *POINTS])
    lines: list[set[str]] = []
    train(run, lambda _, losses: lines.append(set(losses)))
    moved = ["generator/adversarial" in losses for losses in lines]
    assert moved == [False, False, False, False, True, False]
    assert all("critic/critic" in losses for losses in lines)
    weights = load_file(checkpoint.folder(run.folder, 6) / "weights.safetensors")
    critic = [value for key, value in weights.items() if key.startswith("D.network")]
    assert all(value.abs().max() <= 0.1 for value in critic)
    state = load_file(checkpoint.folder(run.folder, 6) / "optimizer.safetensors")
    assert any("square_avg" in key for key in state)  # RMSprop's


def test_the_command_trains_shows_and_exports_nothing(tmp_path: Path) -> None:
    arguments = ["ebgan-ring.toml", "--out", str(tmp_path / "run")]
    for setting in (*TINY, *POINTS):
        arguments += ["--set", setting]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "8 Gaussians" in result.output
    assert (tmp_path / "run" / "previews" / "00000006.png").is_file()
    assert not list(tmp_path.rglob("*.onnx"))
    scores = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"modes", "quality", "distance"} <= scores.keys()


@pytest.mark.parametrize(
    ("recipe", "setting", "message"),
    [
        ("wgan-ring", "generator.shape=[3]", "samples of shape"),
        ("wgan-ring", "critic.network.shape=[3]", "x has to be"),
        ("wgan-ring", "critic.constraint.name=none", "c"),
        ("wgan-ring", "data.kind=paired", "about"),
        ("wgan-ring", "data.noise=0.3", "without meaning"),
        ("wgan-ring", "data.kind=mnist", "four idx files"),
        ("bigan-digits", "encoder.outputs=5", "x has to be"),
        ("dcgan-digits", "data.size=7", "sizes from 8"),
        ("dcgan-digits", "data.holdout=0", "held out"),
        ("dcgan-digits", "critic.objective.name=wasserstein", "Lipschitz"),
        ("vaegan-digits", "model.gama=1", "vaegan"),
        ("vaegan-digits", 'critic.stabilisers=[{name="minibatch-discrimination"}]', "stands twice"),
        ("gan-ring", "model.virtual=8", "batch normalisation"),
        ("dcgan-digits", "model.virtual=1", "at least 2"),
        ("dcgan-digits", "model.virtual=-1", "at least 2"),
        ("wgan-gp-ring", 'critic.stabilisers=[{name="minibatch-discrimination"}]', "whole batch"),
        ("restore", "data.kind=ring", "translates pictures|without meaning"),
    ],
)
def test_what_does_not_fit_leaves_no_folder(recipe: str, setting: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        create(f"{recipe}.toml", None, tmp_path / "run", [setting])
    assert not list(tmp_path.iterdir())
