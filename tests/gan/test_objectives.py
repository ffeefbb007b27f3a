"""Objectives at points where their values are known, and at their optimal critics."""

import math

import pytest
import torch
from torch import Tensor

from translate.gan.divergences import F_DIVERGENCES, f_divergence, js
from translate.gan.objectives import (
    FGAN,
    OBJECTIVES,
    EnergyBased,
    Hinge,
    LeastSquares,
    LossSensitive,
    Minimax,
    NonSaturating,
    Objective,
    Relativistic,
    Wasserstein,
)

ZERO, ONE = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
F_GANS = [
    *[FGAN(name) for name in F_DIVERGENCES],
    *[FGAN("alpha", a) for a in (-0.5, 0.5, 1.5, 3)],
    *[FGAN("jensen-shannon-weighted", w) for w in (0.3, 0.5)],
]
ALL = [
    Minimax(),
    NonSaturating(),
    LeastSquares(),
    Wasserstein(),
    Hinge(),
    EnergyBased(1.5),
    LossSensitive(),
    LossSensitive(gamma=0.5, weight=2, scale=0.1),
    Relativistic(),
    *F_GANS,
]
each = pytest.mark.parametrize("objective", ALL, ids=repr)

# Two distributions of five atoms, given by how often each atom is drawn.
REAL, FAKE = torch.tensor([8, 1, 4, 2, 5]), torch.tensor([1, 6, 4, 5, 4])


def draws(values: Tensor) -> tuple[Tensor, Tensor]:
    """Each atom's score as often as real samples and as fakes fall on it."""
    return values.repeat_interleave(REAL), values.repeat_interleave(FAKE)


def best_critic(objective: Objective) -> float:
    """The lowest loss of a critic with a free score for each atom."""
    scores = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([scores], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimiser.zero_grad()
        loss = objective.critic(*draws(scores))
        loss.backward()
        return loss.item()

    optimiser.step(closure)
    return closure()


def slope(loss: Tensor, score: Tensor) -> float:
    return torch.autograd.grad(loss, score)[0].sum().item()


def test_an_undecided_critic() -> None:
    for objective in (Minimax(), NonSaturating()):
        assert objective.critic(ZERO, ZERO).item() == pytest.approx(2 * math.log(2))
    assert Minimax().generator(ZERO).item() == pytest.approx(-math.log(2))
    assert NonSaturating().generator(ZERO).item() == pytest.approx(math.log(2))
    assert Relativistic().critic(ZERO, ZERO).item() == pytest.approx(math.log(2))


def test_minimax_is_the_sum_of_both_cross_entropies() -> None:
    real, fake = torch.randn(2, 50, dtype=torch.float64)
    value = real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean()
    for objective in (Minimax(), NonSaturating(), FGAN("gan")):
        assert objective.critic(real, fake).item() == pytest.approx(-value.item())
    for objective in (Minimax(), FGAN("gan")):
        assert objective.generator(fake).item() == pytest.approx((1 - fake.sigmoid()).log().mean().item())
    assert NonSaturating().generator(fake).item() == pytest.approx(-fake.sigmoid().log().mean().item())


def test_the_best_minimax_critic_knows_the_jensen_shannon_divergence() -> None:
    p, q = REAL / REAL.sum(), FAKE / FAKE.sum()
    value = 2 * js(p, q).item() - 2 * math.log(2)
    assert -Minimax().critic(*draws((p / q).log())).item() == pytest.approx(value, abs=1e-6)
    assert -best_critic(Minimax()) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("objective", F_GANS, ids=repr)
def test_the_best_f_gan_critic_attains_its_divergence(objective: FGAN) -> None:
    p, q = REAL.double() / REAL.sum(), FAKE.double() / FAKE.sum()
    divergence = f_divergence(objective.divergence, objective.parameter)
    assert -best_critic(objective) == pytest.approx(divergence(p, q).item(), abs=1e-3)


def test_a_best_critic_of_least_squares_is_the_share_of_real_samples() -> None:
    p, q = REAL / REAL.sum(), FAKE / FAKE.sum()
    assert best_critic(LeastSquares()) == pytest.approx(LeastSquares().critic(*draws(p / (p + q))).item(), abs=1e-6)


def test_a_sure_critic_stops_the_saturating_generator_alone() -> None:
    fake = torch.tensor([-20.0], dtype=torch.float64, requires_grad=True)
    sigmoid = 1 / (1 + math.exp(20))
    assert slope(Minimax().generator(fake), fake) == pytest.approx(-sigmoid, rel=1e-9)  # 2e-9: nothing left to learn from
    assert slope(FGAN("gan").generator(fake), fake) == pytest.approx(-sigmoid, rel=1e-9)
    assert slope(NonSaturating().generator(fake), fake) == pytest.approx(-(1 - sigmoid), rel=1e-9)
    assert slope(Wasserstein().generator(fake), fake) == -1


def test_least_squares_targets() -> None:
    assert LeastSquares().critic(ONE, ZERO).item() == 0
    assert LeastSquares().critic(ZERO, ZERO).item() == 0.5
    assert LeastSquares().critic(ONE, ONE).item() == 0.5
    assert LeastSquares().generator(ONE).item() == 0
    assert LeastSquares().generator(ZERO).item() == 0.5


def test_wasserstein_is_the_difference_of_means() -> None:
    assert Wasserstein().critic(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.0, 2.0])).item() == -2.5
    assert Wasserstein().generator(torch.tensor([1.0, 2.0])).item() == -1.5


def test_hinge_is_flat_beyond_the_margin() -> None:
    assert Hinge().critic(2 * ONE, -2 * ONE).item() == 0
    assert Hinge().critic(0.5 * ONE, ZERO).item() == 1.5
    assert Hinge().critic(ZERO, 0.25 * ONE).item() == 2.25
    assert Hinge().generator(3 * ONE).item() == -3


def test_energy_based_pushes_fakes_up_to_the_margin_only() -> None:
    real, fake = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 4.0], requires_grad=True)
    loss = EnergyBased(margin=3).critic(real, fake)
    assert loss.item() == 1.5 + (2.5 + 0) / 2
    assert torch.autograd.grad(loss, fake)[0].tolist() == [-0.5, 0]
    assert EnergyBased(margin=3).generator(fake).item() == 2.25


def test_loss_sensitive_by_hand() -> None:
    real, fake, distance = torch.tensor([1.0, 2.0]), torch.tensor([1.5, 9.0]), torch.tensor([2.0, 4.0])
    violated = 2 + 1 - 1.5  # and the second pair is further apart than its distance
    assert LossSensitive().critic(real, fake, distance).item() == 1.5 + violated / 2
    assert LossSensitive(weight=3).critic(real, fake, distance).item() == 1.5 + 3 * violated / 2
    assert LossSensitive(gamma=0, scale=0.5).critic(real, fake, distance).item() == (1 + 1 - 1.5) / 2
    assert LossSensitive(gamma=0).critic(torch.zeros(2), torch.zeros(2), distance).item() == 3
    assert LossSensitive().generator(fake).item() == 5.25


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 1, 3, 3)])
def test_loss_sensitive_gives_each_pair_its_own_distance(shape: tuple[int, ...]) -> None:
    real, fake = torch.zeros(2, *shape[1:]), torch.full(shape, 1.0)
    loss = LossSensitive(gamma=0).critic(real, fake, torch.tensor([0.0, 7.0]))
    assert loss.item() == pytest.approx(3)


def test_relativistic_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([1.0, 3.0])
    critic = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(3))) / 2
    generator = (math.log(1 + math.exp(1)) + math.log(1 + math.exp(-3))) / 2
    assert Relativistic().critic(real, fake).item() == pytest.approx(critic)
    assert Relativistic().generator(fake, real).item() == pytest.approx(generator)


def test_differences_of_scores_are_all_that_counts() -> None:
    real, fake, distance = torch.randn(3, 20, dtype=torch.float64)
    for objective in (Wasserstein(), Relativistic(), LossSensitive(gamma=0)):
        shifted = objective.critic(real + 5, fake + 5, distance.abs()).item()
        assert objective.critic(real, fake, distance.abs()).item() == pytest.approx(shifted)
    assert Relativistic().generator(fake, real).item() == pytest.approx(Relativistic().generator(fake + 5, real + 5).item())


@each
def test_both_sides_pull_the_scores_apart_and_together(objective: Objective) -> None:
    real, fake = torch.full((2, 4, 1), 0.1, requires_grad=True)
    upwards = -1 if isinstance(objective, EnergyBased | LossSensitive) else 1  # whose scores are low for what looks real
    loss = objective.critic(real, fake, torch.ones(4))
    for gradient, direction in zip(torch.autograd.grad(loss, (real, fake)), (-upwards, upwards), strict=True):
        assert (direction * gradient > 0).all()
    (gradient,) = torch.autograd.grad(objective.generator(fake, real), fake)
    assert (upwards * gradient < 0).all()


@each
def test_every_shape_of_scores_counts_each_score_once(objective: Objective) -> None:
    real, fake = torch.randn(2, 6)
    losses = {
        round(objective.critic(real.reshape(shape), fake.reshape(shape), torch.ones(shape[0])).item(), 5)
        for shape in ((6,), (6, 1), (2, 1, 3, 1))
    }
    assert len(losses) == 1


@each
def test_gradients(objective: Objective) -> None:
    torch.manual_seed(0)
    real, fake = (scores.requires_grad_() for scores in torch.randn(2, 7, dtype=torch.float64))
    distance = torch.rand(7, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda real, fake: objective.critic(real, fake, distance), (real, fake))
    assert torch.autograd.gradcheck(lambda real, fake: objective.generator(fake, real), (real, fake))


@each
def test_losses_are_finite_for_scores_that_training_reaches(objective: Objective) -> None:
    scores = torch.linspace(-30, 30, 61)
    assert objective.critic(scores, scores.flip(0), torch.ones(61)).isfinite()
    assert objective.generator(scores, scores.flip(0)).isfinite()


def test_what_each_asks_for() -> None:
    flags = {
        name: {flag for flag in ("energy", "lipschitz", "bounded", "labels", "paired", "metric") if getattr(objective, flag)}
        for name, objective in OBJECTIVES.items()
    }
    assert flags == {
        "minimax": {"labels"},
        "non-saturating": {"labels"},
        "least-squares": {"bounded", "labels"},
        "wasserstein": {"lipschitz"},
        "hinge": set(),
        "f-gan": set(),
        "energy-based": {"energy"},
        "loss-sensitive": {"metric"},
        "relativistic": {"paired"},
    }
    assert {type(objective) for objective in ALL} == set(OBJECTIVES.values())


def test_refuses_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="unknown f-divergence 'kullback'"):
        FGAN("kullback")
    with pytest.raises(ValueError, match="needs its parameter"):
        FGAN("alpha")
    for margin in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="margin"):
            EnergyBased(margin)
    for wrong in ({"gamma": -1}, {"weight": 0}, {"scale": -1}, {"weight": math.nan}, {"scale": math.inf}):
        with pytest.raises(ValueError, match="loss-sensitive"):
            LossSensitive(**wrong)


def test_refuses_scores_that_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="distance"):
        LossSensitive().critic(torch.zeros(4), torch.zeros(4))
    with pytest.raises(ValueError, match="distance"):
        LossSensitive().critic(torch.zeros(4), torch.zeros(4), torch.zeros(1))
    with pytest.raises(ValueError, match="scores of real samples"):
        Relativistic().generator(torch.zeros(4))
    for objective in (LossSensitive(), Relativistic()):
        with pytest.raises(ValueError, match="in pairs"):
            objective.critic(torch.zeros(4), torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(ValueError, match="in pairs"):
        Relativistic().generator(torch.zeros(4), torch.zeros(3))


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_the_alternative_generator_raises_g(name: str) -> None:
    v = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
    loss = FGAN(name, alternative=True).generator(v)
    assert loss.item() == pytest.approx(-F_DIVERGENCES[name].g(v.detach()).mean().item())
    (gradient,) = torch.autograd.grad(loss, v)
    assert (gradient < 0).all()


# Mutants tried, each fails a test above:
# minimax: either sign; the generator's loss that does not saturate; halved. non-saturating: the generator's that saturates.
# least-squares: not halved; fakes' target −1; generator's target 0. wasserstein: sign; real detached.
# hinge: no hinge for fakes, for reals; margin 0. f-gan: either sign; g in place of f*(g) on either side; parameter replaced.
# energy-based: no hinge; [m + fake]₊; reals left out; margin 1 whatever is asked for; generator's sign.
# loss-sensitive: real and fake swapped; no distance; no hinge; scale, gamma or weight dropped; real detached in the hinge;
# distances broadcast over the wrong axis; generator's sign.
# relativistic: sign; sides not swapped for the generator; real detached for the generator; against the mean of the reals.
# Pairs unchecked; distance's shape unchecked; a flag lost.
