"""Adversary: who gets gradients from whom, and what the constraint does."""

import pytest
import torch
from torch import nn

from translate.gan.adversary import Adversary
from translate.gan.constraints import SpectralNorm, Unconstrained
from translate.gan.objectives import Hinge, LeastSquares


def make(constraint: Unconstrained | None = None) -> Adversary:
    torch.manual_seed(0)
    return Adversary(nn.Conv2d(6, 1, 3), LeastSquares(), constraint or Unconstrained())


def test_the_critics_loss_reaches_the_critic_alone() -> None:
    adversary = make()
    x, fake = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8, requires_grad=True)
    sum(adversary.critic(torch.rand(2, 3, 8, 8), fake, condition=x).values()).backward()  # type: ignore[union-attr]
    assert fake.grad is None
    assert all(parameter.grad is not None for parameter in adversary.parameters())


def test_the_generators_loss_reaches_the_fake_alone() -> None:
    adversary = make()
    x, fake = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8, requires_grad=True)
    adversary.generator(fake, condition=x).backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in adversary.parameters())


def test_the_condition_matters() -> None:
    adversary = make()
    fake = torch.rand(1, 3, 8, 8)
    one, other = (adversary.generator(fake, condition=torch.full((1, 3, 8, 8), value)) for value in (0.0, 1.0))
    assert one.item() != pytest.approx(other.item())


def test_spectral_norm_divides_by_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    adversary = Adversary(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 1)), Hinge(), SpectralNorm())
    for _ in range(60):  # power iteration, one round per forward pass
        adversary.critic(torch.rand(4, 3, 3, 3), torch.rand(4, 3, 3, 3))
    for layer in (adversary.network[0], adversary.network[2]):  # type: ignore[index]
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)
