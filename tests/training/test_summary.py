"""What a recipe costs: counted by hand where it can be, and every shipped recipe trains its first steps."""

from pathlib import Path

import pytest
import torch

from translate.training import summary, tasks
from translate.training.recipe import Recipe, find
from translate.training.sections import TRANSLATED

SHIPPED = sorted(path.name for path in find("restore.toml").parent.glob("*.toml"))
LARGE = ("generator.width=4", "critic.network.width=4", "precision=32-true", "device=cpu", "start=")
"""For recipes of pictures, whose networks take seconds a step."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "WARM", 1)
    monkeypatch.setattr(summary, "ROUNDS", 1)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_step(name: str) -> None:
    recipe = Recipe.load(name)
    if recipe.data.kind in TRANSLATED:
        size = {"unet": 256, "resnet": 32}.get(recipe.generator.name, 64)
        recipe = Recipe.load(name, [*LARGE, f"data.size={size}"])
    found = summary.measure(recipe)
    assert found.seconds > 0
    assert found.steps % max(options.every for options in recipe.optimisers.values()) == 0


def test_parameters_and_operations_are_those_of_the_networks() -> None:
    recipe = Recipe.load("wgan-gp-ring.toml")
    generator = [(2, 128), (128, 128), (128, 128), (128, 2)]
    critic = [(2, 128), (128, 128), (128, 128), (128, 1)]
    counted = [sum(one * other + other for one, other in layers) for layers in (generator, critic)]
    assert summary.parameters(recipe.build()) == {"G": counted[0], "D": counted[1]}
    assert summary.macs(recipe) == {"": sum(one * other for one, other in generator)}
    # Weights, gradients and two moments of both, and the generator's average
    assert summary.counted_bytes(recipe) == (4 * (4 * sum(counted) + counted[0]), 0)
    shared = summary.counted_bytes(Recipe.load("wgan-gp-ring.toml", ["shard=true"]))
    assert shared == (4 * (4 * sum(counted) + counted[0]), 4 * 5 * counted[0])


def test_operations_of_a_resnet_by_hand() -> None:
    """Both 7×7 convolutions, four that halve or double the size (9 weights a place of the smaller one), and 18 in blocks."""
    ends, scales, blocks = 256**2 * 49 * 3 * 64, 4 * 128**2 * 9 * 64 * 128, 18 * 64**2 * 9 * 256**2
    assert summary.macs(Recipe.load("cyclegan.toml")) == dict.fromkeys(("there", "back"), 2 * ends + scales + blocks)


def test_an_epoch_is_every_picture_once(photographs: Path) -> None:
    recipe = Recipe.load("restore.toml", ["data.holdout=0"])
    assert summary.epoch(tasks.find(recipe, photographs)) == 12
    assert summary.epoch(tasks.find(Recipe.load("gan-ring.toml"), None)) is None
    digits = Recipe.load("dcgan-digits.toml", ["data.holdout=0.5"])
    assert summary.epoch(tasks.find(digits, None)) == 899


def test_the_whole_in_words() -> None:
    recipe = Recipe.load("lsgan-ring.toml", ["device=cpu"])
    lines = summary.summary(recipe, tasks.find(recipe, None))
    assert [line.partition(" ")[0] for line in lines[:3]] == ["G", "D", "together"]
    told = "\n".join(lines)
    for part in ("GMACs for a sample", "GiB at the peak", "a step: ", f"all {recipe.steps:,} steps: "):
        assert part in told
    assert "epoch" not in told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0123, "12.3 ms"), (2.5, "2.5 s"), (89.4, "89.4 s"), (200, "3 min"), (7200, "2 h 0 min"), (360_000, "4 d 4 h")],
)
def test_spans_of_time_are_told_in_fitting_units(seconds: float, told: str) -> None:
    assert summary._span(seconds) == told


def test_measuring_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    summary.measure(Recipe.load("ebgan-ring.toml", ["generator.width=4", "critic.network.width=4"]))
    assert not list(tmp_path.iterdir())
    assert torch.get_default_device() == torch.device("cpu")
