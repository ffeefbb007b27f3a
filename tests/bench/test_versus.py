"""The comparison of two trainings: equal where they are, and every difference found."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.versus import __main__ as versus
from bench.versus.report import FIRST, TOLERANCE, first_difference, windows
from bench.versus.runs import Curves, Doubled, doubles, recipe_of, train_ours, train_theirs
from tests.bench import stand_in
from translate.gan.stabilisers import PicturePool
from translate.models.cgan import CGAN
from translate.models.cyclegan import CycleGAN
from translate.training import tasks

SETTINGS = {"cyclegan": ("cyclegan", 2 * FIRST + 4, 32, 1, 0, 2), "pix2pix": ("pix2pix", 2 * FIRST + 4, 128, 1, 0, 0)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs, which may also be taken for two kinds of pictures."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for side in ("trainA", "trainB", "valA", "valB"):
        (folder / side).mkdir()
        for number in range(4 if "train" in side else 1):
            Image.fromarray(rng.integers(0, 256, (150, 150, 3), dtype=np.uint8)).save(folder / side / f"{number}.png")
    return folder


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """The stand-in, or, where the environment names a checkout, the reference itself."""
    told = os.environ.get("REFERENCE_CHECKOUT")
    return Path(told) if told else stand_in.write(tmp_path / "reference")


def both(kind: str, data: Path, reference: Path, work: Path) -> tuple[Curves, Curves]:
    recipe = recipe_of(*SETTINGS[kind])  # type: ignore[arg-type]
    with doubles():
        task = Doubled(tasks.find(recipe, data))
        return train_ours(recipe, task, work), train_theirs(recipe, task, reference)


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_first_steps_are_the_same(kind: str, data: Path, reference: Path, tmp_path: Path) -> None:
    ours, theirs = both(kind, data, reference, tmp_path / "run")
    worst, where = first_difference(ours, theirs)
    assert worst < TOLERANCE, where
    first, last = (ours.losses[step] for step in (0, FIRST))
    assert all(abs(first[term] - last[term]) > 100 * TOLERANCE for term in theirs.losses[0])  # something was learned
    assert ours.rates[:FIRST] == theirs.rates[:FIRST] == [2e-4] * FIRST
    assert not {"models", "options", "util", "util.image_pool"} & sys.modules.keys()
    assert torch.get_default_dtype() == torch.float32


def _no_pool(m: pytest.MonkeyPatch) -> None:
    m.setattr(PicturePool, "forward", lambda self, fake: fake)


def _critic_first(m: pytest.MonkeyPatch) -> None:
    m.setattr(CycleGAN, "players", property(lambda self, was=CycleGAN.players.fget: dict(reversed(was(self).items()))))


def _generator_first(m: pytest.MonkeyPatch) -> None:
    m.setattr(CGAN, "players", property(lambda self, was=CGAN.players.fget: dict(reversed(was(self).items()))))


def _identity(m: pytest.MonkeyPatch) -> None:
    m.setattr(stand_in.CycleGAN, "identity", 0.501)


DIFFERENCES: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "no pool": ("cyclegan", _no_pool),
    "the critics move first": ("cyclegan", _critic_first),
    "the weight of identity": ("cyclegan", _identity),
    "the generator moves first": ("pix2pix", _generator_first),
}


@pytest.mark.skipif("REFERENCE_CHECKOUT" in os.environ, reason="the stand-in is changed")
@pytest.mark.parametrize("what", DIFFERENCES)
def test_differences_are_found(what: str, data: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, change = DIFFERENCES[what]
    change(monkeypatch)
    assert first_difference(*both(kind, data, reference, tmp_path / "run"))[0] > TOLERANCE


def test_the_whole_comparison(data: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    versus.main(reference, data, "cyclegan", 2 * FIRST + 4, 32, 1, 0, 2, 2, [], tmp_path / "out")
    told = capsys.readouterr().out
    assert "first 10 steps in double precision" in told
    assert "| 22–24 |" in told
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cyclegan.png", "cyclegan.json"}
    curves = json.loads((tmp_path / "out" / "cyclegan.json").read_text())
    assert [len(curves[name]["losses"]) for name in ("ours", "reference", "again-1", "again-2")] == [24] * 4
    ours, theirs, again = (curves[name]["losses"][0] for name in ("ours", "reference", "again-1"))
    assert all(abs(ours[term] - theirs[term]) < 1e-4 for term in theirs)  # in single precision before anybody has moved
    assert again != theirs
    assert curves["again-2"]["losses"] != curves["again-1"]["losses"]
    apart = re.search(r"reference from itself, 2 times \| (\S+) to (\S+) \|", told)
    assert apart
    assert 0 <= float(apart[1]) <= float(apart[2])
    measured = [curves[name]["measures"] for name in ("ours", "reference")]
    assert measured[0].keys() == measured[1].keys()
    for name, value in measured[1]["3"].items():
        assert measured[0]["3"][name] == pytest.approx(value, rel=0.05)


def test_refusals(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, model, told in ((tmp_path, "cyclegan", "no checkout"), (tmp_path, "dualgan", "unknown --model")):
        with pytest.raises(versus.typer.Exit):
            versus.main(folder, data, model, 24, 32, 1, 0, 2, 1, [], tmp_path / "out")
        assert told in capsys.readouterr().err


def test_windows_cover_every_step_once() -> None:
    for steps in (3, 8, 100):
        assert [step for part in windows(steps) for step in range(*part)] == list(range(steps))
