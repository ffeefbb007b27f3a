"""Faithful and modern recipes are trained on the same pairs, and read on the held-out ones."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench import kinds, modern
from bench.reader import Reader
from bench.resumed import begun
from tests.small_training import TINY
from translate.metrics.labels import FACADES
from translate.training.recipe import Recipe
from translate.training.run import train

SETTINGS = [*TINY, "steps=2", "data.holdout=0.1", "checkpoint_every=1"]


@pytest.fixture
def facades(tmp_path: Path) -> Path:
    """Photographs left, label maps right: a façade below a sky, which is brighter."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        (tmp_path / "facades" / split).mkdir(parents=True)
        for number in range(count):
            joined = np.empty((24, 48, 3), np.uint8)
            height = int(rng.integers(6, 18))
            joined[:height, :24], joined[height:, :24] = 220, 60
            joined[:height, 24:], joined[height:, 24:] = FACADES.colours[0], FACADES.colours[1]
            Image.fromarray(joined).save(tmp_path / "facades" / split / f"{number}.png")
    return tmp_path / "facades"


def run(data: Path, work: Path, **options: object) -> None:
    modern.main(
        data,
        **({"systems": None, "seeds": 1, "steps": 2, "size": 16, "settings": SETTINGS, "each": False, "work": work} | options),
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("system", modern.CHANGES)
def test_a_change_is_a_setting_of_the_faithful_recipe(system: str) -> None:
    faithful, new = (Recipe.load(f"{name}.toml", modern.small(name, 64)) for name in (system, f"{system}-modern"))
    assert faithful.ema == 0
    assert new.ema > 0
    for told in modern.CHANGES[system].values():
        assert Recipe.load(f"{system}.toml", [*modern.small(system, 64), *told]) != faithful


def test_each_recipe_is_read_on_the_held_out_pairs(facades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(facades, tmp_path / "work", seeds=2, systems=["pix2pix"])
    printed = capsys.readouterr().out
    scores = [json.loads(found) for found in re.findall(r"<!-- pix2pix-\S+: (.*) -->", printed)]
    assert len(scores) == 4
    assert all(list(score) == ["pixel-accuracy", "class-accuracy", "iou"] for score in scores)
    rows = [line for line in printed.splitlines() if re.match(r"\| (faithful|modern) \|", line)]
    accuracies = [[score["pixel-accuracy"] for score in scores[at : at + 2]] for at in (0, 2)]
    for row, found in zip(rows, accuracies, strict=True):
        assert f"({min(found):.3f}–{max(found):.3f})" in row


def test_a_translator_that_is_right_scores_one(facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = begun("cyclegan", facades, tmp_path / "run", [*modern.small("cyclegan", 16), *SETTINGS])
    train(trained, lambda *_: None)
    pairs = modern.held(trained)
    assert len(pairs) == 2  # though they were not told to the training
    truth = {pair.x: pair.y for pair in pairs}
    monkeypatch.setattr(modern, "held", lambda run: pairs)
    monkeypatch.setattr(modern, "translate", lambda network, x: truth[x])
    assert set(modern.read(trained, tmp_path).values()) == {1.0}
    monkeypatch.setattr(modern, "translate", lambda network, x: truth[x].flip(-2))
    assert modern.read(trained, tmp_path)["pixel-accuracy"] < 0.9


def test_two_kinds_without_pairs_are_told_apart_by_a_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for side, low in (("trainA", 160), ("trainB", 0)):
        (tmp_path / "kinds" / side).mkdir(parents=True)
        for number in range(12):
            picture = rng.integers(low, low + 90, (72, 72, 3), np.uint8)
            Image.fromarray(picture).save(tmp_path / "kinds" / side / f"{side}{number}.png")
    learn = Reader.trained
    monkeypatch.setattr(Reader, "trained", lambda data: learn(data, steps=60, batch=16))
    monkeypatch.setattr(kinds, "CROPS", 30)
    settings = [*modern.small("cyclegan", 64), *SETTINGS, "steps=1", "data.holdout=0.3"]
    trained = begun("cyclegan", tmp_path / "kinds", tmp_path / "run", settings)
    train(trained, lambda *_: None)

    def shares(change: Callable[[Tensor], Tensor], kept: float) -> tuple[float, float]:
        monkeypatch.setattr(modern, "translate", lambda network, x: change(x))
        scores = modern.read(trained, tmp_path)
        for way in ("there", "back"):
            assert 0 < scores[f"{way}, patches"] < 0.2  # all of them are noise
            assert scores[f"{way}, brightness"] == pytest.approx(kept, abs=0.1)
        return scores["there, recognised"], scores["back, recognised"]

    assert shares(lambda x: -x, -1) == (1, 1)
    assert shares(lambda x: x, 1) == (0, 0)
    rng = torch.Generator().manual_seed(0)
    assert shares(lambda x: -torch.rand(x.shape, generator=rng), 0) == (1, 0)  # dark, whatever came
    monkeypatch.setattr(modern, "translate", lambda network, x: x)
    between = modern.between(trained, tmp_path)
    assert between
    gauged = between.gauges()
    assert gauged["untranslated"] | {"there, brightness": 1, "back, brightness": 1} == modern.read(trained, tmp_path)
    monkeypatch.setattr(modern, "translate", lambda network, x: x.mean((2, 3), keepdim=True).expand_as(x))
    flat, own = modern.read(trained, tmp_path), gauged["the target's own"]
    for way in ("there", "back"):
        assert own[f"{way}, recognised"] == 1
        assert own[f"{way}, patches"] < flat[f"{way}, patches"] / 3
