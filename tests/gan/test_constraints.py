"""Constraints against closed forms: linear and quadratic critics, whose slopes are known."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from translate.gan.constraints import (
    CONSTRAINTS,
    Constraint,
    Dragan,
    GradientPenalty,
    SpectralNorm,
    Unconstrained,
    WeightClipping,
    ZeroCentered,
)
from translate.gan.networks import MLPCritic

PENALTIES = [GradientPenalty(), Dragan(), ZeroCentered(), ZeroCentered(on="fake"), ZeroCentered(on="both")]
SHAPES = [(1, 2), (2, 5), (7, 2), (1, 3, 4, 4), (7, 3, 4, 4), (2,), (7,)]


def pair(shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator) + 3


def linear(w: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: x.reshape(len(x), -1) @ w


def direction(shape: tuple[int, ...], length: float) -> Tensor:
    w = torch.randn(math.prod(shape[1:]), generator=torch.Generator().manual_seed(1))
    return (length * w / w.norm()).requires_grad_()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [0.25, 1.0, 3.0])
def test_a_linear_critic_pays_for_its_slope_whatever_the_batch(shape: tuple[int, ...], length: float) -> None:
    real, fake = pair(shape)
    score = linear(direction(shape, length))

    def value(constraint: Constraint) -> object:
        return pytest.approx(constraint.penalty(score, real, fake).item(), rel=1e-5, abs=1e-5)

    assert value(GradientPenalty(weight=10)) == 10 * (length - 1) ** 2
    assert value(GradientPenalty(weight=3, target=2)) == 3 * (length - 2) ** 2
    assert value(Dragan(weight=10)) == 10 * (length - 1) ** 2
    assert value(ZeroCentered(weight=10)) == 5 * length**2
    assert value(ZeroCentered(weight=10, on="fake")) == 5 * length**2
    assert value(ZeroCentered(weight=10, on="both")) == 10 * length**2
    assert Unconstrained().penalty(score, real, fake).item() == 0


@pytest.mark.parametrize("score_shape", [(), (1,), (1, 1, 1)])
def test_scores_of_every_shape(score_shape: tuple[int, ...]) -> None:
    real, fake = pair((4, 3))
    w = direction((4, 3), 3)
    for constraint in PENALTIES:
        flat = constraint.penalty(linear(w), real, fake)
        shaped = constraint.penalty(lambda x: linear(w)(x).reshape(len(x), *score_shape), real, fake)
        assert shaped.item() == pytest.approx(flat.item())


def test_a_score_of_patches_is_their_sum() -> None:
    critic = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(critic.weight, 2)
    real, fake = pair((3, 1, 4, 4))
    # Each of 16 pixels has slope 2, so the norm is √(16 · 2²) = 8.
    assert GradientPenalty(weight=1).penalty(critic, real, fake).item() == pytest.approx(49)


def half_square(x: Tensor) -> Tensor:
    """½‖x‖², whose slope at x is x."""
    return x.flatten(1).square().sum(1) / 2


def test_norms_are_per_sample() -> None:
    real = torch.tensor([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]])  # norms 5, 2, 0
    penalty = GradientPenalty(weight=1).penalty(half_square, real, real.clone())
    assert penalty.item() == pytest.approx((4**2 + 1 + 1) / 3)
    assert ZeroCentered(weight=1).penalty(half_square, real, real).item() == pytest.approx((25 + 4 + 0) / 2 / 3)
    still = Dragan(weight=1, spread=1e-9).penalty(half_square, real, real)
    assert still.item() == pytest.approx((4**2 + 1 + 1) / 3, rel=1e-4)


def test_zero_centered_looks_where_it_is_told() -> None:
    real, fake = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0], [0.0, 1.0]])  # squares 1; 9 and 1
    value = {on: ZeroCentered(2, on).penalty(half_square, real, fake).item() for on in ("real", "fake", "both")}
    assert value == pytest.approx({"real": 1, "fake": 5, "both": 6})


class Seen:
    """A critic that remembers what it was shown."""

    def __call__(self, x: Tensor) -> Tensor:
        self.x = x.detach()
        return half_square(x)


def test_interpolates_lie_on_the_segments() -> None:
    torch.manual_seed(0)
    real, fake = pair((500, 2, 3))
    GradientPenalty().penalty(seen := Seen(), real, fake)
    share = (seen.x - fake) / (real - fake)
    epsilon = share[:, 0, 0]
    assert torch.allclose(share, epsilon[:, None, None].expand_as(share), atol=1e-3)  # one for all entries of a sample
    assert epsilon.min() < 0.02
    assert epsilon.max() > 0.98
    assert epsilon.mean().item() == pytest.approx(0.5, abs=0.05)
    assert epsilon.std().item() == pytest.approx(12**-0.5, abs=0.03)


def test_dragan_stays_around_the_real_data() -> None:
    """In every direction as far as the whole batch is wide, whichever direction that is."""
    torch.manual_seed(0)
    real, fake = pair((4000, 2))
    real = real * torch.tensor([1.0, 10.0])
    Dragan().penalty(seen := Seen(), real, fake)
    ratio = (seen.x - real) / (0.5 * real.std(correction=0))  # α u
    assert ratio.min() >= 0
    assert 0.95 < ratio.max() <= 1
    assert ratio.mean().item() == pytest.approx(1 / 4, abs=0.01)
    alone = ratio[:, 0].mean() * ratio[:, 1].mean()
    assert ((ratio[:, 0] * ratio[:, 1]).mean() / alone).item() == pytest.approx(4 / 3, abs=0.05)  # α shared: E α² / (E α)²


@pytest.mark.parametrize("constraint", PENALTIES, ids=repr)
def test_autocast_does_not_coarsen_the_penalty(constraint: Constraint) -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 1, bias=False))
    nn.init.normal_(critic[1].weight)  # type: ignore[arg-type]
    real, fake = pair((5, 3, 2, 2))
    norm = critic[1].weight.detach().norm().item()  # type: ignore[operator]
    expected = {"GradientPenalty": 10 * (norm - 1) ** 2, "Dragan": 10 * (norm - 1) ** 2, "ZeroCentered": 5 * norm**2}
    double = 2 if getattr(constraint, "on", "") == "both" else 1
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(real).dtype == torch.bfloat16
        penalty = constraint.penalty(critic, real.bfloat16(), fake.bfloat16())
        assert penalty.dtype == torch.float32
        penalty.backward()
        assert critic(real).dtype == torch.bfloat16  # autocast goes on outside
    assert penalty.item() == pytest.approx(double * expected[type(constraint).__name__], rel=1e-5)


@pytest.mark.parametrize("constraint", PENALTIES, ids=repr)
def test_the_penalty_trains_the_critic(constraint: Constraint) -> None:
    w = direction((4, 3), 3)
    constraint.penalty(linear(w), *pair((4, 3))).backward()
    assert w.grad is not None
    slope = {"GradientPenalty": 2 * 10 * (3 - 1), "Dragan": 2 * 10 * (3 - 1), "ZeroCentered": 10 * 3}[type(constraint).__name__]
    expected = slope * (2 if getattr(constraint, "on", "") == "both" else 1)  # d penalty / d‖w‖
    assert torch.allclose(w.grad, expected * w.detach() / 3, rtol=1e-4)


@pytest.mark.parametrize("constraint", PENALTIES, ids=repr)
def test_the_penalty_trains_nobody_else(constraint: Constraint) -> None:
    w = torch.ones((), requires_grad=True)
    real, fake = (x.requires_grad_() for x in pair((4, 3)))
    constraint.penalty(lambda x: w * half_square(x), real, fake).backward()  # its slope depends on where it is taken
    assert real.grad is None
    assert fake.grad is None
    assert w.grad is not None


@pytest.mark.parametrize("constraint", [GradientPenalty(), Dragan(), ZeroCentered(on="both")], ids=repr)
def test_derivatives_are_right(constraint: Constraint) -> None:
    real, fake = (x.double() for x in pair((3, 2)))

    def penalty(first: Tensor, second: Tensor) -> Tensor:
        torch.manual_seed(0)
        return constraint.penalty(lambda x: torch.tanh(x @ first) @ second, real, fake)

    weights = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 4), (4, 1))]
    assert penalty(*weights).dtype == torch.float64
    assert torch.autograd.gradcheck(penalty, weights)


@pytest.mark.parametrize("constraint", PENALTIES, ids=repr)
def test_a_flat_critic_gives_no_nan(constraint: Constraint) -> None:
    w = torch.zeros(3, requires_grad=True)
    penalty = constraint.penalty(linear(w), *pair((4, 3)))
    penalty.backward()
    assert penalty.item() == (0 if isinstance(constraint, ZeroCentered) else 10)
    assert w.grad is not None
    assert w.grad.isfinite().all()


@pytest.mark.parametrize("constraint", PENALTIES, ids=repr)
def test_a_condition_is_no_part_of_the_sample(constraint: Constraint) -> None:
    w = direction((4, 3), 3)
    condition = torch.randn(4, 3, requires_grad=True)
    real, fake = pair((4, 3))
    plain = constraint.penalty(linear(w), real, fake)
    given = constraint.penalty(lambda x: linear(torch.cat([w, 100 * w]))(torch.cat([x, condition], 1)), real, fake)
    assert given.item() == pytest.approx(plain.item(), rel=1e-5)


def test_one_real_for_each_fake() -> None:
    real, fake = pair((4, 3))
    with pytest.raises(ValueError, match=r"real is \[4, 3\], fake \[2, 3\]"):
        GradientPenalty().penalty(half_square, real, fake[:2])
    ZeroCentered(on="both").penalty(half_square, real, fake[:2])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: WeightClipping(0), "c must be"),
        (lambda: WeightClipping(-0.01), "c must be"),
        (lambda: GradientPenalty(weight=0), "weight must be"),
        (lambda: GradientPenalty(weight=math.nan), "weight must be"),
        (lambda: GradientPenalty(target=-1), "target"),
        (lambda: Dragan(weight=-1), "weight must be"),
        (lambda: Dragan(spread=0), "spread must be"),
        (lambda: ZeroCentered(weight=math.inf), "weight must be"),
        (lambda: ZeroCentered(on="everywhere"), "real, fake or both"),  # type: ignore[arg-type]
    ],
)
def test_refuses_what_makes_no_sense(make: Callable[[], Constraint], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


def test_what_the_composer_reads() -> None:
    assert list(CONSTRAINTS) == ["none", "weight-clipping", "gradient-penalty", "dragan", "zero-centered", "spectral-norm"]
    assert {name for name, kind in CONSTRAINTS.items() if kind.per_sample} == {"gradient-penalty", "dragan", "zero-centered"}
    assert {name for name, kind in CONSTRAINTS.items() if not kind.lipschitz} == {"none"}


def test_clipping_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 1))
    before = [parameter.detach().clone() for parameter in critic.parameters()]
    constraint = WeightClipping(c=0.05)
    assert constraint.wrap(critic) is critic
    constraint.after_step(critic)
    for old, new in zip(before, critic.parameters(), strict=True):
        assert torch.equal(new, old.clamp(-0.05, 0.05))
    assert any((old.abs() > 0.05).any() for old in before)


def test_spectral_norm_against_svd() -> None:
    torch.manual_seed(0)
    kernel, transposed, matrix = nn.Conv2d(2, 8, 3), nn.ConvTranspose2d(8, 4, 3), nn.Linear(100, 3)
    critic = SpectralNorm().wrap(nn.Sequential(kernel, transposed, nn.Flatten(), matrix))
    for _ in range(100):  # one round of power iteration each
        critic(torch.zeros(1, 2, 5, 5))
    weights = [kernel.weight.flatten(1), transposed.weight.transpose(0, 1).flatten(1), matrix.weight]
    for layer, weight in zip((kernel, transposed, matrix), weights, strict=True):
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=1e-3)
        ratio = layer.parametrizations.weight.original / layer.weight  # type: ignore[union-attr, operator, arg-type]
        assert torch.allclose(ratio, ratio.flatten()[0], rtol=1e-4)


@pytest.mark.parametrize("norm", [1, 2])
def test_a_linear_wasserstein_critic_under_spectral_norm_reaches_the_distance(norm: float) -> None:
    """Times the norm that it is given."""
    torch.manual_seed(0)
    x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, -2.0]])  # 5 apart
    critic = SpectralNorm(norm).wrap(nn.Linear(2, 1))
    optimiser = torch.optim.SGD(critic.parameters(), lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        (critic(y) - critic(x)).sum().backward()
        optimiser.step()
    assert (critic(x) - critic(y)).item() == pytest.approx(5 * norm, abs=1e-3)


def test_a_small_critic_of_norm_1_is_far_flatter_than_1() -> None:
    slopes = []
    for norm in (1, 2):
        torch.manual_seed(0)
        critic, x = SpectralNorm(norm).wrap(MLPCritic((2,), 128, 3)), torch.randn(500, 2, requires_grad=True)
        for _ in range(50):
            critic(x)
        (slope,) = torch.autograd.grad(critic(x).sum(), x)
        slopes.append(slope.norm(dim=1).mean().item())
    assert slopes[0] == pytest.approx(0.01, abs=0.005)
    assert slopes[1] == pytest.approx(2**4 * slopes[0], rel=0.2)  # four layers; the biases are as they were


def test_the_norm_of_a_reshaped_kernel_does_not_bound_a_convolution() -> None:
    convolution = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
    nn.init.ones_(convolution.weight)
    wrapped = SpectralNorm().wrap(convolution)
    assert torch.linalg.matrix_norm(wrapped.weight.flatten(1), 2).item() == pytest.approx(1)  # type: ignore[operator]
    picture = torch.ones(1, 1, 8, 8)
    assert (wrapped(picture).norm() / picture.norm()).item() == pytest.approx(3)


def dirac(constraint: Constraint, rounds: int = 400, step: float = 0.1) -> float:
    """Mescheder et al. 2018, section 2: data at 0, a generator that is the point θ, a critic D(x) = ψ x; here Wasserstein's."""
    theta, psi = (torch.tensor([1.0], requires_grad=True) for _ in range(2))

    def score(x: Tensor) -> Tensor:
        return x @ psi

    for _ in range(rounds):
        real, fake = torch.zeros(1, 1), theta.detach()[None]
        loss = (score(fake) - score(real)).sum() + constraint.penalty(score, real, fake)
        (by_psi,) = torch.autograd.grad(loss, psi)
        (by_theta,) = torch.autograd.grad(-(psi.detach() * theta).sum(), theta)
        with torch.no_grad():
            psi -= step * by_psi
            theta -= step * by_theta
    return theta.abs().item()


def test_zero_centered_penalties_settle_wasserstein_in_the_dirac_gan() -> None:
    assert dirac(ZeroCentered(weight=1)) < 1e-3
    assert dirac(Unconstrained()) > 1


# Mutants tried, each of which fails a test: the norm over the whole batch (gradient penalty, DRAGAN); create_graph=False;
# one ε per entry, or ½ for all; interpolates without the fake; target 1 whatever was said; one-sided; R1 without its ½;
# R1 + R2 as a mean; real and fake exchanged; mean over entries, or the norm, in place of the squared norm; autocast left
# on; bfloat16 kept; samples not detached; DRAGAN without α, with α per entry, without spread, around the fake; √Σ² in
# place of the norm, whose derivative at 0 is NaN; the mean of the scores; clipping from above alone, or without biases;
# spectral norm without transposed convolutions, or without linear layers; unequal batches let through.
