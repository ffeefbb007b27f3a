"""The measurements of the papers' effects run from end to end, and say what is so."""

import dataclasses
import itertools
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench import resumed
from bench.gan import __main__ as command
from bench.gan import digits, plane
from bench.gan import runs as training
from bench.gan.runs import Runs, Trained, table
from translate.gan.objectives import OBJECTIVES
from translate.training import checkpoint
from translate.training.recipe import Recipe
from translate.training.samples import DigitClassifier, Digits, Modes

TINY = (
    "steps=4", "batch=8", "log_every=1", "validate_every=2", "checkpoint_every=2", "device=cpu",
    "generator.width=4", "critic.network.width=4",
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def quick_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = DigitClassifier.trained
    monkeypatch.setattr(DigitClassifier, "trained", lambda data: trained(data, steps=2, batch=8))
    for judge in (Digits, Modes):
        monkeypatch.setattr(judge.__init__, "__defaults__", (80, *judge.__init__.__defaults__[1:]))  # type: ignore[index]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "work", None, 1, tmp_path)


def rows(printed: str) -> list[dict[str, list[str]]]:
    """Tables, each by its rows' first cells."""
    found = []
    for block in printed.split("### ")[1:]:
        cells = [line.strip("|").split("|") for line in block.splitlines() if line.startswith("|")]
        found.append({row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells[2:]})
    return found


def test_a_table_is_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    table("Title", ("system", "score", "n"), [("gan", 0.123456, 1234567), ("wgan", math.inf, ""), ("none", math.nan, "1–2")])
    assert capsys.readouterr().out.splitlines() == [
        "### Title",
        "",
        "| system | score | n |",
        "|---|---|---|",
        "| gan | 0.123 | 1234567 |",
        "| wgan | inf |  |",
        "| none | nan | 1–2 |",
        "",
    ]


def test_disjoint_segments(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    plane.disjoint(runs)
    (found,) = rows(capsys.readouterr().out)
    assert list(found) == ["0", "0.125", "0.25", "0.5", "1"]
    for theta, (plateau, rise, distance, slope) in found.items():
        assert distance == theta
        if theta != "0":
            assert (plateau, rise, slope) == ("0.693", "0", "1")
    assert found["0"][:2] == ["0", "5.55"]  # 8 ln 2: a step, which no gradient follows
    assert (runs.out / "disjoint.png").stat().st_size > 1000


def test_a_stopped_run_is_gone_on_with_and_a_finished_one_is_kept(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    train, seen = training.train, list[int]()

    def watched(run: Any, _: object) -> Path:
        def report(step: int, _: object) -> None:
            seen.append(step)
            if step == stop:
                raise KeyboardInterrupt

        return train(run, report)

    monkeypatch.setattr(training, "train", watched)
    stop = 0
    whole = runs.trained("lsgan-ring", *TINY, name="whole")
    stop = 3
    with pytest.raises(KeyboardInterrupt):
        runs.trained("lsgan-ring", *TINY, name="stopped")
    stop = 0
    seen.clear()
    gone_on, kept = (runs.trained("lsgan-ring", *TINY, name="stopped") for _ in range(2))
    assert seen == [3, 4]
    for run in (gone_on, kept):
        assert run.log == whole.log
        for name, weight in run.model.state_dict().items():
            assert weight.equal(whole.model.state_dict()[name]), name
    assert [line["step"] for line in whole.log if "modes" in line] == whole.curve("modes")[0] == [2, 4]
    assert whole.last("modes") == whole.curve("modes")[1][-1]


def test_the_network_is_the_averaged_generator(runs: Runs) -> None:
    run = runs.trained("lsgan-ring", *TINY, "ema=0.9")
    kept = checkpoint.folder(runs.work / "lsgan-ring", 4)
    for network, file in ((run.network, "ema"), (run.model, "weights")):
        weights = load_file(kept / f"{file}.safetensors")
        assert all(value.equal(weights[name]) for name, value in network.state_dict().items())
    assert not run.network.training
    assert not run.model.training
    averaged, last = (next(network.parameters()) for network in (run.network, run.model.translator))
    assert not averaged.equal(last)


def test_a_run_of_another_recipe_is_not_taken_for_this_one(runs: Runs) -> None:
    runs.trained("gan-ring", *TINY, name="run")
    with pytest.raises(SystemExit, match="another recipe: remove it"):
        runs.trained("gan-ring", *TINY, "batch=9", name="run")


@pytest.mark.parametrize("every", [1, 100])
def test_a_diverged_run_has_a_row(every: int, runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether it got as far as a checkpoint or not."""
    steep = ("optimisers.critic.lr=1e30", "optimisers.generator.every=4", f"checkpoint_every={every}")
    run = runs.trained("gan-ring", *TINY, *steep, name="run")
    assert run.diverged
    assert "run diverged: step 2: the loss of the critic" in capsys.readouterr().out
    assert (checkpoint.latest(runs.work / "run") is not None) == (every == 1)
    assert (run.last("modes"), run.last("quality"), run.last("distance"), run.last("fid")) == (0, 0, math.inf, math.inf)
    assert math.isnan(run.last("certainty"))
    assert all(value.isfinite().all() for value in run.network.parameters())


def test_every_objective_has_a_row_of_its_own() -> None:
    systems = plane.SYSTEMS | plane.RING
    recipes = {name: Recipe.load(f"{recipe}.toml", settings) for name, (recipe, *settings) in systems.items()}
    assert {recipe.critic.objective.name for recipe in recipes.values()} == OBJECTIVES.keys()
    paces = {name: recipe.optimisers["critic"].model_dump() for name, recipe in recipes.items()}
    games = [json.dumps([r.critic.model_dump(), r.model.model_dump(), paces[name]]) for name, r in recipes.items()]
    assert len(set(games)) == len(games)


def test_what_was_trained_ahead_is_found(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ("gan-ring", [*TINY], "run")
    dataclasses.replace(runs, jobs=2).ahead([wanted])
    monkeypatch.setattr(resumed, "create", None)
    recipe, settings, name = wanted
    assert runs.trained(recipe, *settings, name=name).last("distance") > 0


def test_the_systems_on_digits_are_systems() -> None:
    made = {name: Recipe.load(f"{recipe}.toml", settings) for name, (recipe, *settings) in digits.SYSTEMS.items()}
    assert {recipe.critic.objective.name for recipe in made.values()} >= OBJECTIVES.keys() - {"minimax"}
    games = [json.dumps([r.critic.model_dump(), r.model.model_dump()]) for r in made.values()]
    assert len(set(games)) == len(games)


def test_modes_shows_every_row_and_what_diverged(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"system-{number}" for number in range(7)]
    monkeypatch.setattr(plane, "SYSTEMS", dict.fromkeys(names, ("gan-ring",)))
    monkeypatch.setattr(plane, "RING", {"more": ("gan-ring",)})
    once = runs.trained("gan-ring", *TINY)
    lost = Trained(once.model, once.network, [*once.log, {"step": 4} | training.DIVERGED], diverged=True)
    monkeypatch.setattr(Runs, "trained", lambda *_, name: lost if name.startswith("system-5") else once)
    figures: list[Any] = []
    monkeypatch.setattr(Runs, "save", lambda _, figure, name: figures.append(figure))
    plane.modes(runs)
    tables = rows(capsys.readouterr().out)
    assert [list(found) for found in tables] == [[*names, "more"], names]
    assert tables[0]["system-5"] == ["0 (0–0)", "0 (0–0)", "inf (inf–inf)"]
    for figure, shown in zip(figures, tables, strict=True):
        titles = {axes.get_title(): len(axes.lines) for axes in figure.axes}
        assert titles == {name: 1 for name in shown if name != "system-5"} | {"system-5, diverged": 0}
        boxes = [axes.get_position().bounds for axes in figure.axes]
        assert len(set(boxes)) == len(shown)


def test_categories_are_named_for_the_digits_that_they_hold(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = runs.handwriting.held.classes
    category = truth * 7 % 10
    astray = torch.arange(len(truth)) % 5 == 0
    category[astray] = (category[astray] + 1) % 10
    parts, drawn = itertools.cycle(torch.eye(10)[category].split(500)), list[Tensor]()

    def network(z: Tensor) -> Tensor:
        drawn.append(z)
        return torch.zeros(len(z), 1, 16, 16)

    model = SimpleNamespace(read=lambda x: SimpleNamespace(logits=next(parts)), noise=3, continuous=2, categories=10)
    trained = SimpleNamespace(model=model, network=network)
    monkeypatch.setattr(Runs, "digits", lambda *_, **__: trained)
    digits.codes(runs)
    (found,) = rows(capsys.readouterr().out)
    assert list(found) == ["1", "2", "3"]
    assert float(found["1"][0]) == pytest.approx(1 - astray.float().mean().item(), abs=1e-3)
    for code, z in enumerate(drawn):  # digit by digit, a row of one code's values each
        assert z[:, 3:13].argmax(dim=1).view(10, 10)[:, 0].tolist() == [digit * 7 % 10 for digit in range(10)]
        assert torch.equal(z[:10, 13 + code], torch.linspace(-2, 2, 10))
        assert z[:, 14 - code].abs().max() == 0
        assert (z[:, :3] == z[0, :3]).all()


def test_the_command_runs_what_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, train_critic = Runs.trained, plane.Game.train_critic
    monkeypatch.setattr(Runs, "trained", lambda self, *given, name="": trained(self, *given, *TINY, "steps=2", name=name))
    monkeypatch.setattr(plane.Game, "train_critic", lambda self, steps: train_critic(self, min(steps, 1)))
    monkeypatch.setattr(digits, "SYSTEMS", {name: (f"{name}-digits",) for name in ("class-cgan", "vaegan")})
    asked = ["saturation", "weights", "systems", "conditional", "encoders", "pretraining"]
    asked += ["noise", "features", "walks", "architectures"]
    command.main(only=asked, seeds=1, jobs=1, work=tmp_path / "work", out=tmp_path / "out")
    printed = capsys.readouterr().out
    tables = rows(printed)
    assert [list(found) for found in tables] == [
        ["minimax", "non-saturating", "Wasserstein, gradient penalty"],
        ["wgan", "wgan-gp"],
        ["class-cgan", "vaegan"],
        ["samples", "real held-out digits"],
        ["pixels", "bigan", "vaegan"],
        ["without", "with"],
        ["0", "0.1", "0.2", "0.4", "0.8"],
        ["pixels", "an untrained critic's features", "DCGAN's critic's features"],
        ["DCGAN", "without BatchNorm", "MLP, 4 × 512"],
    ]
    assert float(tables[1]["wgan"][0]) <= 0.1  # clipped
    assert 0.9 < float(tables[4]["pixels"][1]) <= 1
    few, more, many = map(float, tables[7]["pixels"])  # of so many labelled digits
    assert 0.6 < few < more < many < 1
    assert all(len(scores) == 2 for scores in tables[8].values())
    pictures = {"saturation", "weights", "digits", "conditional", "encoders", "noise", "walks"}
    assert {path.stem for path in (tmp_path / "out").iterdir()} == pictures
    assert set(re.findall(r"!\[(\w+)\]", printed)) == pictures


def test_an_unknown_experiment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="unknown: nothing; choose from disjoint, "):
        command.main(only=["disjoint", "nothing"], work=tmp_path, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_zoo_asks_for_experiments_that_there_are() -> None:
    text = (ROOT / "docs" / "gan.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?:--only|measured:) (\w+)", text)) <= command.EXPERIMENTS.keys()


# Mutants tried, each of which fails a test: the generator not loaded, or the same as the model's; a model not loaded, or left in
# training; a diverged run without its row, or drawn as if it were sound; a folder of another recipe gone on with; an encoder
# of MNIST at 16 pixels; one divergence under two names; a figure that drops the last row; categories named for the digits that
# they hold least, or shown in their own order; JS's rise per eighth.


def test_the_estimate_is_the_critics_loss_with_its_sign_turned(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Metrics of one moment stand in two lines, and the loss has more moments than the distance."""
    losses = [{"step": step, "critic/critic": -10.0 / step} for step in range(1, 9)]
    distances = [{"step": step, "distance": 3.0 / step} for step in (2, 4, 6, 8)]
    untouched = nn.Identity()
    monkeypatch.setattr(Runs, "trained", lambda *_, name: Trained(untouched, untouched, losses + distances))
    monkeypatch.setattr(Runs, "save", lambda *_: None)
    plane.estimate(runs)
    (found,) = rows(capsys.readouterr().out)
    assert {seed: (int(moments), float(correlation)) for seed, (moments, correlation) in found.items()} == {
        seed: (4, pytest.approx(1)) for seed in "123"
    }
