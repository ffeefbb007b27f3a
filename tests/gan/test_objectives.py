"""Objectives at points where their values are known."""

import math

import pytest
import torch

from translate.gan.objectives import OBJECTIVES, Hinge, LeastSquares, NonSaturating

ZERO, ONE = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)


def test_non_saturating_at_an_undecided_critic() -> None:
    assert NonSaturating().critic(ZERO, ZERO).item() == pytest.approx(2 * math.log(2))
    assert NonSaturating().generator(ZERO).item() == pytest.approx(math.log(2))


def test_least_squares_targets() -> None:
    assert LeastSquares().critic(ONE, ZERO).item() == 0
    assert LeastSquares().critic(ZERO, ONE).item() == 1
    assert LeastSquares().generator(ONE).item() == 0
    assert LeastSquares().generator(ZERO).item() == 0.5


def test_hinge_is_flat_beyond_the_margin() -> None:
    assert Hinge().critic(2 * ONE, -2 * ONE).item() == 0
    assert Hinge().critic(ZERO, ZERO).item() == 2
    assert Hinge().generator(3 * ONE).item() == -3


@pytest.mark.parametrize("name", OBJECTIVES)
def test_both_sides_pull_the_scores_apart_and_together(name: str) -> None:
    objective = OBJECTIVES[name]()
    real, fake = torch.zeros(4, 1, requires_grad=True), torch.zeros(4, 1, requires_grad=True)
    objective.critic(real, fake).backward()
    assert real.grad is not None
    assert fake.grad is not None
    assert (real.grad < 0).all()  # going down the gradient raises the real scores
    assert (fake.grad > 0).all() or name == "least-squares"  # whose optimum for fakes is 0
    score = torch.zeros(4, 1, requires_grad=True)
    objective.generator(score).backward()
    assert score.grad is not None
    assert (score.grad < 0).all()
