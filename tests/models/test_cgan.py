"""CGAN: its terms are the formula's, and each player moves alone."""

import math
from collections import namedtuple

import pytest
import torch
from torch import nn

from translate.gan.adversary import Adversary
from translate.gan.constraints import Unconstrained
from translate.gan.objectives import LeastSquares
from translate.models import MODELS
from translate.models.cgan import CGAN, gradient_difference, peak_signal_to_noise

Batch = namedtuple("Batch", "x y")


def make(**weights: float) -> CGAN:
    torch.manual_seed(0)
    return CGAN(nn.Conv2d(3, 3, 1), Adversary(nn.Conv2d(6, 1, 3), LeastSquares(), Unconstrained()), **weights)


def batch() -> Batch:
    return Batch(*(torch.rand((2, 2, 3, 8, 8), generator=torch.Generator().manual_seed(1)) * 2 - 1))


def test_terms_are_weighted() -> None:
    pictures = batch()
    model = make(l1=100, gradient=2, psnr=0.1, adversarial=0.5)
    out = model(pictures)
    terms = model.losses("generator", pictures, out)
    assert terms["l1"].item() == pytest.approx(100 * (out.fake - pictures.y).abs().mean().item(), rel=1e-5)
    assert terms["gradient"].item() == pytest.approx(2 * gradient_difference(out.fake, pictures.y).item(), rel=1e-5)
    assert terms["psnr"].item() == pytest.approx(-0.1 * peak_signal_to_noise(out.fake, pictures.y).item(), rel=1e-5)
    assert terms["adversarial"].item() == pytest.approx(
        0.5 * model.D.generator(out.fake, pictures.x)["adversarial"].item(), rel=1e-5
    )


def test_the_critic_s_loss_is_weighted() -> None:
    """pix2pix halves it."""
    pictures = batch()
    whole, half = make(), make(critic=0.5)
    losses = [model.losses("critic", pictures, model(pictures))["critic"].item() for model in (whole, half)]
    assert losses[1] == pytest.approx(losses[0] / 2, rel=1e-6)


def test_the_gradient_term_sees_edges_and_not_brightness() -> None:
    y = torch.rand(1, 3, 8, 8)
    assert gradient_difference(y + 0.3, y).item() == pytest.approx(0, abs=1e-6)
    ramp = y + torch.arange(8) / 10  # 0.1 per pixel, to the right
    assert gradient_difference(ramp, y).item() == pytest.approx(0.1, rel=1e-4)


def test_psnr_by_hand() -> None:
    y = torch.zeros(2, 3, 8, 8)
    off = torch.stack([y[0] + 2 / 255, y[1] + 20 / 255])  # 1 and 10 grey levels: 48.13 and 28.13 dB
    assert peak_signal_to_noise(off, y, most=200).item() == pytest.approx(20 * math.log10(255) - 10, rel=1e-5)
    assert peak_signal_to_noise(y, y).item() == pytest.approx(45, rel=1e-5)


def test_psnr_lets_a_little_damage_count_as_much_as_a_lot() -> None:
    error = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    fake = torch.cat([0.1 * error, error]).requires_grad_()
    (slope,) = torch.autograd.grad(peak_signal_to_noise(fake, torch.zeros(2, 3, 8, 8), most=200), fake)
    # An error falls by the same share of itself: ten times smaller, ten times steeper
    torch.testing.assert_close(slope[0], 10 * slope[1])


def test_players_move_alone() -> None:
    pictures = batch()
    model = make(l1=1, adversarial=1)
    assert list(model.players) == ["critic", "generator"]
    out = model(pictures)
    sum(model.losses("critic", pictures, out).values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is None for p in model.G.parameters())
    model.zero_grad()
    sum(model.losses("generator", pictures, out).values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is None for p in model.D.parameters())
    assert all(p.grad is not None for p in model.G.parameters())


def test_without_adversarial_weight_nobody_trains_a_critic() -> None:
    model = make(l1=1, adversarial=0)
    assert list(model.players) == ["generator"]
    assert "adversarial" not in model.losses("generator", batch(), model(batch()))


def test_refuses_a_loss_of_nothing() -> None:
    with pytest.raises(ValueError, match="not all 0"):
        make(l1=0, gradient=0, adversarial=0)
    with pytest.raises(ValueError, match="critic's weight"):
        make(critic=0)


def test_is_offered_by_name() -> None:
    assert MODELS["cgan"] is CGAN
