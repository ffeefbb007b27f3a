"""Instance noise and label smoothing against their formulas."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from translate.gan.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from translate.gan.stabilisers import InstanceNoise, LabelSmoothing


@pytest.mark.parametrize(
    ("schedule", "deviations"),
    [("linear", [2, 1.5, 1, 0.5, 0]), ("cosine", [2, 1 + 0.5**0.5, 1, 1 - 0.5**0.5, 0]), ("constant", [2, 2, 2, 2, 0])],
)
def test_noise_falls_to_nothing(schedule: str, deviations: list[float]) -> None:
    noise = InstanceNoise(start=2, steps=8, schedule=schedule)  # type: ignore[arg-type]
    assert [noise.deviation(step) for step in (0, 2, 4, 6, 8)] == pytest.approx(deviations)
    assert noise.deviation(9) == noise.deviation(10**9) == 0


def test_noise_is_normal_and_lets_gradients_through() -> None:
    torch.manual_seed(0)
    x = torch.full((200, 1, 16, 16), 3.0, requires_grad=True)
    noise = InstanceNoise(start=0.5, steps=10)
    seen = noise(x, 4)
    error = (seen - x).detach()
    assert error.mean().item() == pytest.approx(0, abs=0.01)
    assert error.std().item() == pytest.approx(0.3, rel=0.02)
    assert (error / 0.3).pow(4).mean().item() == pytest.approx(3, rel=0.05)  # a normal distribution's kurtosis
    assert not torch.equal(noise(x, 4), seen)
    seen.sum().backward()
    assert x.grad is not None
    assert (x.grad == 1).all()
    assert torch.equal(noise(x, 10), x)


def test_noise_gives_disjoint_supports_an_overlap() -> None:
    torch.manual_seed(0)
    real, fake = torch.zeros(2000), torch.ones(2000)
    noise = InstanceNoise(start=1, steps=10)
    assert (noise(real, 0) > 0.5).float().mean().item() == pytest.approx(0.309, abs=0.04)  # 1 − Φ(½)
    assert (noise(fake, 0) < 0.5).float().mean().item() == pytest.approx(0.309, abs=0.04)


@pytest.mark.parametrize(
    ("start", "steps", "schedule"), [(-1, 5, "linear"), (math.nan, 5, "linear"), (1, 0, "linear"), (1, 5, "stairs")]
)
def test_refuses_noise_that_makes_no_sense(start: float, steps: int, schedule: str) -> None:
    with pytest.raises(ValueError, match="InstanceNoise"):
        InstanceNoise(start, steps, schedule)  # type: ignore[arg-type]


def scores() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(6, 1, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2))  # type: ignore[return-value]


def logits(real: Tensor, fake: Tensor, amount: float) -> Tensor:
    """Cross-entropy with labels 1 − amount and 0."""
    return ((1 - amount) * softplus(-real) + amount * softplus(real)).mean() + softplus(fake).mean()


def squares(real: Tensor, fake: Tensor, amount: float) -> Tensor:
    return ((1 - amount) * (real - 1).square() + amount * real.square()).mean() / 2 + fake.square().mean() / 2


@pytest.mark.parametrize(("objective", "expected"), [(Minimax(), logits), (NonSaturating(), logits), (LeastSquares(), squares)])
@pytest.mark.parametrize("amount", [0.1, 0.3])
def test_smoothed_labels_in_value_and_gradient(objective, expected, amount: float) -> None:
    real, fake = scores()
    loss, wanted = LabelSmoothing(amount).critic(objective, real, fake), expected(real, fake, amount)
    assert loss.item() == pytest.approx(wanted.item())
    for got, want in zip(torch.autograd.grad(loss, (real, fake)), torch.autograd.grad(wanted, (real, fake)), strict=True):
        assert torch.allclose(got, want)


def test_smoothing_pulls_least_squares_to_the_smoothed_label() -> None:
    real = torch.tensor([0.9], requires_grad=True)
    LabelSmoothing(0.1).critic(LeastSquares(), real, torch.zeros(3)).backward()
    assert real.grad is not None
    assert real.grad.item() == pytest.approx(0, abs=1e-6)


def test_the_best_smoothed_critic() -> None:
    p, q = 0.3, 0.7  # densities at one point; D = (1 − amount) p / (p + q)
    best = 0.8 * p / (p + q)
    score = torch.tensor(math.log(best / (1 - best)), dtype=torch.float64, requires_grad=True)
    real = fake = score.expand(10)
    real, fake = real[:3], fake[:7]
    smooth = LabelSmoothing(0.2)
    never = torch.full((1,), -1e9, dtype=torch.float64)  # a fake that costs nothing
    loss = p * smooth.critic(NonSaturating(), real, never) + q * NonSaturating().critic(-never, fake)
    (gradient,) = torch.autograd.grad(loss, score)
    assert gradient.item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("objective", [Hinge(), Wasserstein()])
def test_refuses_objectives_without_labels(objective) -> None:
    with pytest.raises(ValueError, match=f"{type(objective).__name__} has no labels"):
        LabelSmoothing().critic(objective, *scores())


@pytest.mark.parametrize("amount", [0, -0.1, 0.5, 1, math.nan])
def test_refuses_amounts_that_make_no_sense(amount: float) -> None:
    with pytest.raises(ValueError, match="amount"):
        LabelSmoothing(amount)


# Mutants tried, each of which fails a test: noise that never ends; cosine upside down; uniform noise; noise that stops
# gradients; smoothing with the other sign; a(0) = b(0) for least squares; the fakes' labels smoothed; objectives without
# labels let through.
