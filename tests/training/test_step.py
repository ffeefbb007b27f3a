"""A step: what it adds up to over batches, and what it refuses to take."""

import math
from typing import Any, NamedTuple

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from translate.training.recipe import Recipe
from translate.training.step import SMALL, Step
from translate.training.watch import Diverged

FABRIC = Fabric(accelerator="cpu", devices=1)
CYCLEGAN = ("generator.width=2", "generator.blocks=1", "critic.network.width=2", "critic.network.layers=1", "model.pool=0")

UNET = ("generator.width=2", "generator.levels=2", "critic.network.width=2", "critic.network.layers=1")


class Batch(NamedTuple):
    x: Tensor
    y: Tensor


def part(batch: Batch, rows: slice) -> Batch:
    return Batch(*(side[rows] for side in batch))


def trained(name: str, *settings: str, halved: bool) -> tuple[list[dict[str, float]], list[Tensor]]:
    """The losses of five steps on batches of four, in one piece or in two, and the gradients of the first step, which Adam would
    not tell from their multiples."""
    recipe = Recipe.load(name, ["steps=5", "batch=2", f"accumulate={1 + halved}", *settings])
    model = recipe.build()
    step, losses, gradients = Step(recipe, FABRIC, model), [], []
    generator = torch.Generator().manual_seed(0)
    for number in range(5):
        batch = Batch(*(torch.rand(4, 3, 16, 16, generator=generator) * 2 - 1 for _ in range(2)))
        losses.append(step([part(batch, slice(0, 2)), part(batch, slice(2, 4))] if halved else [batch], number))
        gradients = gradients or [p.grad.clone() for player in step.players for p in player.parameters if p.grad is not None]
    return losses, gradients


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cyclegan.toml", CYCLEGAN),
        (
            "pix2pix.toml",
            (*CYCLEGAN[2:4], "generator.levels=2", "generator.width=2", "generator.norm=instance", "generator.dropout=0"),
        ),
    ],
)
def test_two_batches_of_a_step_equal_one_of_twice_the_size(name: str, settings: tuple[str, ...]) -> None:
    """Where nothing is normalised over the batch. Up to rounding, which five steps of Adam raise to some 1e-4."""
    (two, half), (one, whole) = (trained(name, "critic.network.norm=instance", *settings, halved=h) for h in (True, False))
    for step, (ours, theirs) in enumerate(zip(two, one, strict=True)):
        assert ours.keys() == theirs.keys()
        assert ours == pytest.approx(theirs, rel=1e-5 if not step else 1e-3, abs=1e-6)
    assert len(half) > 10
    for ours, theirs in zip(half, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()) + 1e-9)


class Toy(nn.Module):
    """One player, with a small layer before a large one; `harm` is what becomes of the gradient between them."""

    def __init__(self, harm: float = 1.0) -> None:
        super().__init__()
        self.G = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, SMALL, bias=False))
        self.harm = harm

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"generator": self.G}

    def forward(self, batch: Batch) -> Tensor:
        hidden = self.G[0](batch.x)
        hidden.register_hook(lambda gradient: gradient * self.harm)
        return self.G[1](hidden)

    def losses(self, player: str, batch: Batch, out: Tensor) -> dict[str, Tensor]:
        return {"size": out.square().mean(), "scaled": batch.y * out.abs().mean()}


def toy(harm: float = 1.0, *settings: str) -> tuple[Any, Step]:
    model: Any = Toy(harm)
    return model, Step(Recipe.load("restore.toml", ["model.adversarial=0", *settings]), FABRIC, model)


@pytest.mark.parametrize("clip", [0, 1])
@pytest.mark.parametrize("harm", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_moves_nobody(harm: float, clip: int) -> None:
    model, step = toy(harm, f"clip={clip}")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(Diverged, match=r"step 8: the gradient of the generator is (nan|inf) \(size .*, scaled "):
        step([Batch(torch.ones(2, 4), torch.tensor(1.0))], 7)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_moves_nobody(scale: float) -> None:
    model, step = toy()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(Diverged, match="step 1: the loss of the generator is") as caught:
        step([Batch(torch.ones(2, 4), torch.tensor(scale))], 0)
    assert caught.value.losses.keys() == {"size", "scaled"}
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_a_loss_that_explodes_stops_the_step() -> None:
    _, step = toy(1.0, "explosion=50")
    step.history.state["generator"] = [100, 0.01, 0.0]
    with pytest.raises(Diverged, match="over 50 times the largest one before"):
        step([Batch(torch.ones(2, 4), torch.tensor(100.0))], 0)


class Tug(nn.Module):
    """Two players with a weight each, both in either's loss: the critic's pulls both up by 1, the generator's both down by 10."""

    def __init__(self) -> None:
        super().__init__()
        self.critic, self.generator = (nn.Linear(1, 1, bias=False) for _ in range(2))

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"critic": self.critic, "generator": self.generator}

    def forward(self, batch: Batch) -> None:
        return None

    def losses(self, player: str, batch: Batch, out: None) -> dict[str, Tensor]:
        both = (self.critic.weight + self.generator.weight).sum()
        return {"pull": -both if player == "critic" else 10 * both}


def test_a_player_follows_its_own_loss_of_this_step_alone() -> None:
    """What other losses, and steps before, left in its weights' gradients is gone when its turn comes."""
    model, step = Tug(), None
    recipe = Recipe.load("gan-ring.toml", ["steps=9", "optimisers.generator.every=2", "explosion=0"])
    step = Step(recipe, FABRIC, model)  # type: ignore[arg-type]
    batch = Batch(torch.zeros(1), torch.zeros(1))
    for number in range(4):
        before = model.generator.weight.item()
        told = step([batch], number)
        moves = (number + 1) % 2 == 0
        assert told.keys() == ({"critic/pull", "generator/pull"} if moves else {"critic/pull"})
        assert (model.generator.weight.item() != before) == moves
        # The critic's own -1, and the generator's 10 on top where that moved after it
        assert model.critic.weight.grad is not None
        assert model.critic.weight.grad.item() == (9 if moves else -1)
        if moves:
            assert model.generator.weight.grad is not None
            assert model.generator.weight.grad.item() == 10
