"""CycleGAN and DualGAN: their terms are the formulas', each player moves alone, and nobody's picture goes the wrong way."""

from collections import namedtuple

import pytest
import torch
from torch import Tensor, nn

from translate.gan.adversary import Adversary
from translate.gan.constraints import Unconstrained, WeightClipping
from translate.gan.networks import PatchGAN, UNet
from translate.gan.objectives import LeastSquares, LossSensitive, Objective, Wasserstein
from translate.models.cyclegan import CycleGAN
from translate.models.dualgan import DualGAN

Batch = namedtuple("Batch", "x y")


class Shift(nn.Module):
    """Adds its one number."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.noise: dict[str, object] | None = None
        self.by = nn.Parameter(torch.tensor(float(by)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


class Noisy(Shift):
    def __init__(self, by: float) -> None:
        super().__init__(by)
        self.noise = {"distribution": "uniform", "channels": 1, "every": 1}


class Brightness(nn.Module):
    """A score: the mean of the picture, times its one number."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(float(slope)))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x.mean(dim=(1, 2, 3))


def adversary(slope: float, objective: Objective | None = None) -> Adversary:
    return Adversary(Brightness(slope), objective or LeastSquares(), Unconstrained())


def wasserstein(slope: float) -> Adversary:
    return Adversary(Brightness(slope), Wasserstein(), WeightClipping(10))


def batch() -> Batch:
    """x is 0 everywhere, y 0.5."""
    return Batch(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5))


def numbers(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: pytest.approx(term.item(), rel=1e-5, abs=1e-6) for name, term in terms.items()}


def test_cyclegan_by_hand() -> None:
    model = CycleGAN(Shift(0.3), Shift(-0.1), adversary(1), adversary(2), cycle=10, identity=5, adversarial=2, pool=0)
    data = batch()
    out = model(data)
    assert out.fake_y.mean().item() == pytest.approx(0.3)
    assert out.fake_x.mean().item() == pytest.approx(0.4)
    assert numbers(model.losses("generator", data, out)) == {
        "adversarial_y": (2 * 0.3 - 1) ** 2,  # D_Y judges G(x)
        "adversarial_x": (0.4 - 1) ** 2,
        "cycle_x": 10 * 0.2,  # F(G(x)) = 0 + 0.3 − 0.1
        "cycle_y": 10 * 0.2,
        "identity_x": 5 * 0.1,  # F(x) = −0.1
        "identity_y": 5 * 0.3,
    }
    assert numbers(model.losses("critic", data, out)) == {
        "critic_x": (0 - 1) ** 2 / 2 + 0.4**2 / 2,
        "critic_y": (2 * 0.5 - 1) ** 2 / 2 + 0.6**2 / 2,
    }


def test_dualgan_by_hand() -> None:
    parts = Noisy(0.3), Noisy(-0.1), wasserstein(1), wasserstein(2)
    model, data = DualGAN(*parts, reconstruction_u=100, reconstruction_v=200), batch()
    out = model(data)
    terms = {
        "adversarial_A": -2 * 0.3,  # D_A judges G_A(u)
        "adversarial_B": -0.4,
        "reconstruction_u": 100 * 0.2,
        "reconstruction_v": 200 * 0.2,
    }
    assert numbers(model.losses("generator", data, out)) == terms
    assert numbers(model.losses("critic", data, out)) == {"critic_A": 2 * 0.3 - 2 * 0.5, "critic_B": 0.4 - 0}
    kept = DualGAN(*parts, reconstruction_u=100, reconstruction_v=200, identity=5)
    identity = {"identity_u": 5 * 0.1, "identity_v": 5 * 0.3}  # G_B(u) = −0.1, G_A(v) − v = 0.3
    assert numbers(kept.losses("generator", data, out)) == terms | identity


SYSTEMS = {
    "cyclegan": lambda: CycleGAN(Shift(0.3), Shift(-0.1), adversary(1), adversary(2), identity=1),
    "dualgan": lambda: DualGAN(Noisy(0.3), Noisy(-0.1), wasserstein(1), wasserstein(2)),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_player_moves_all_of_its_weights_and_no_others(name: str) -> None:
    model, data = SYSTEMS[name](), batch()
    assert sum(len(list(module.parameters())) for module in model.players.values()) == len(list(model.parameters())) == 4
    out = model(data)
    for player, module in model.players.items():
        model.zero_grad()
        sum(model.losses(player, data, out).values()).backward()
        moved = {id(p) for p in module.parameters()}
        for parameter in model.parameters():
            assert (parameter.grad is not None and parameter.grad.abs() > 0) == (id(parameter) in moved), player


@pytest.mark.parametrize("name", SYSTEMS)
def test_both_ways_are_averaged_and_exported(name: str) -> None:
    model = SYSTEMS[name]()
    assert dict(model.translator.named_children())["there"](torch.zeros(1)).item() == pytest.approx(0.3)
    assert dict(model.translator.named_children())["back"](torch.zeros(1)).item() == pytest.approx(-0.1)


def test_cyclegans_critics_are_shown_earlier_fakes() -> None:
    torch.manual_seed(0)
    model, data = CycleGAN(Shift(0.3), Shift(-0.1), adversary(1), adversary(1), pool=2), batch()
    shown = []
    model.D_Y.network.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0].mean().item()))
    for step in range(20):
        model.G.by.data.fill_(float(step))
        model.losses("critic", data, model(data))
    fakes = shown[1::2]
    assert fakes[0] == 0  # nothing earlier to show
    assert any(fake < step for step, fake in enumerate(fakes))


def test_dualgans_noise_differs_on_the_way_back() -> None:
    torch.manual_seed(0)
    nets = [UNet(width=2, levels=2, norm="none") for _ in range(2)]
    critics = [Adversary(PatchGAN(width=2, layers=0), Wasserstein(), WeightClipping(1)) for _ in range(2)]
    model = DualGAN(*nets, *critics)
    x = torch.rand(1, 3, 8, 8) * 2 - 1
    assert not model(Batch(x, x)).fake_v.equal(model(Batch(x, x)).fake_v)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="noise"):
        DualGAN(Shift(0), Shift(0), wasserstein(1), wasserstein(1))
    with pytest.raises(ValueError, match="real partner"):
        CycleGAN(Shift(0), Shift(0), adversary(1), adversary(1, LossSensitive(gamma=0)))
    with pytest.raises(ValueError, match="≥ 0"):
        CycleGAN(Shift(0), Shift(0), adversary(1), adversary(1), cycle=-1)
    with pytest.raises(ValueError, match="≥ 0"):
        DualGAN(Noisy(0), Noisy(0), wasserstein(1), wasserstein(1), reconstruction_u=-1)
