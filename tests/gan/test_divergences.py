"""Divergences against closed forms: suprema, known densities, hand-made transport plans."""

import doctest
import itertools
import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor

from translate.gan import divergences
from translate.gan.divergences import F_DIVERGENCES, FDivergence, f_divergence, js, kl, wasserstein

D_FS = {
    **F_DIVERGENCES,
    **{f"alpha {a}": f_divergence("alpha", a) for a in (-1.5, 0.5, 1.5, 2, 3)},
    **{f"jensen-shannon-weighted {w}": f_divergence("jensen-shannon-weighted", w) for w in (0.2, 0.5, 0.9)},
}
each = pytest.mark.parametrize("divergence", D_FS.values(), ids=D_FS.keys())


def derivative(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    at = at.clone().requires_grad_()
    return torch.autograd.grad(function(at).sum(), at)[0]


def inverse(g: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """The v with g(v) = t, by bisection: g increases."""
    low, high = torch.full_like(t, -1e9), torch.full_like(t, 1e9)
    for _ in range(100):
        middle = (low + high) / 2
        below = g(middle) < t
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return high


def atoms(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two distributions of ten atoms."""
    torch.manual_seed(seed)
    p, q = torch.rand(2, 10, dtype=torch.float64) + 0.05
    return p / p.sum(), q / q.sum()


def gaussians() -> tuple[Tensor, Tensor]:
    """N(0, 1) and N(1, 1) on a grid."""
    x = torch.linspace(-9, 10, 4001, dtype=torch.float64)
    p, q = torch.softmax(-x.square() / 2, 0), torch.softmax(-(x - 1).square() / 2, 0)
    return p, q


def bump(centre: Tensor) -> Tensor:
    """A smooth distribution on a grid, 0 beyond 0.1 from its centre."""
    x = torch.linspace(0, 1, 501, dtype=torch.float64)
    height = (0.01 - (x - centre).square()).clamp(min=0).square()
    return height / height.sum()


@each
def test_f_is_convex_and_its_slope_at_1_is_the_threshold(divergence: FDivergence) -> None:
    u = torch.linspace(0.05, 8, 200, dtype=torch.float64)
    assert (derivative(divergence.f, u).diff() > -1e-9).all()
    one = torch.ones((), dtype=torch.float64)
    around = (
        divergence.f(one + 1e-6) - divergence.f(one - 1e-6)
    ) / 2e-6  # of total variation, the middle one of the slopes there
    assert around.item() == pytest.approx(divergence.threshold, abs=1e-5)


@each
def test_the_conjugate_is_the_supremum(divergence: FDivergence) -> None:
    u = torch.logspace(-6, 3, 18_001, dtype=torch.float64)  # 1 is one of them
    t = divergence.g(torch.linspace(-1.5, 1.5, 9, dtype=torch.float64))
    supremum = (u * t[:, None] - divergence.f(u)).amax(1)
    assert torch.allclose(divergence.conjugate(t), supremum, rtol=1e-5, atol=1e-5)


@each
def test_fenchel_and_young_meet_where_t_is_the_slope(divergence: FDivergence) -> None:
    u = torch.logspace(-2, 1.5, 60, dtype=torch.float64)
    t = derivative(divergence.f, u)
    gap = divergence.conjugate(t)[:, None] + divergence.f(u) - t[:, None] * u  # ≥ 0 for any pair of t and u
    assert (gap > -1e-9).all()
    assert gap.diagonal().abs().max() < 1e-9


@each
def test_g_increases_within_the_conjugates_domain(divergence: FDivergence) -> None:
    t = divergence.g(torch.linspace(-8, 8, 500, dtype=torch.float64))
    assert (t.diff() > 0).all()
    assert divergence.conjugate(t).isfinite().all()
    top = divergence.g(torch.tensor(math.inf, dtype=torch.float64))
    slope = derivative(divergence.f, torch.tensor(1e12, dtype=torch.float64))
    assert (top - slope).abs() < 1e-4 if top.isfinite() else slope > 10


@each
def test_the_closed_form_is_the_composition(divergence: FDivergence) -> None:
    v = torch.linspace(-6, 6, 101, dtype=torch.float64)
    assert torch.allclose(divergence.conjugate_g(v), divergence.conjugate(divergence.g(v)), rtol=1e-9, atol=1e-9)
    slopes = derivative(divergence.conjugate_g, v), derivative(lambda v: divergence.conjugate(divergence.g(v)), v)
    assert torch.allclose(*slopes, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "high"), [("reverse-kl", 120), ("squared-hellinger", 80), ("jensen-shannon", 120), ("gan", 120)]
)
def test_the_closed_form_is_finite_where_the_composition_overflows(name: str, high: float) -> None:
    v = torch.tensor([-200.0, high])
    assert not f_divergence(name).conjugate(f_divergence(name).g(v)).isfinite().all()
    assert f_divergence(name).conjugate_g(v).isfinite().all()
    assert derivative(f_divergence(name).conjugate_g, v).isfinite().all()


@each
@pytest.mark.parametrize("pair", [atoms, gaussians])
def test_the_best_critic_attains_the_divergence(divergence: FDivergence, pair: Callable[[], tuple[Tensor, Tensor]]) -> None:
    p, q = pair()
    v = inverse(divergence.g, derivative(divergence.f, p / q))
    attained = (p * divergence.g(v)).sum() - (q * divergence.conjugate_g(v)).sum()
    assert attained.item() == pytest.approx(divergence(p, q).item(), abs=1e-4)


@each
def test_no_critic_exceeds_the_divergence(divergence: FDivergence) -> None:
    p, q = atoms()
    v = torch.randn(500, 10, dtype=torch.float64)
    assert ((p * divergence.g(v)).sum(-1) - (q * divergence.conjugate_g(v)).sum(-1) < divergence(p, q)).all()


def alpha(a: float) -> float:
    return math.expm1(a * (a - 1) / 2) / (a * (a - 1))


@pytest.mark.parametrize(
    ("divergence", "value"),
    [
        (f_divergence("kl"), 1 / 2),
        (f_divergence("reverse-kl"), 1 / 2),
        (f_divergence("jeffrey"), 1),
        (f_divergence("pearson"), math.e - 1),
        (f_divergence("neyman"), math.e - 1),
        (f_divergence("squared-hellinger"), 2 - 2 * math.exp(-1 / 8)),
        (f_divergence("total-variation"), math.erf(1 / 2 / math.sqrt(2))),
        (f_divergence("alpha", 0.5), alpha(0.5)),
        (f_divergence("alpha", -0.7), alpha(-0.7)),
        (f_divergence("alpha", 2.3), alpha(2.3)),
    ],
)
def test_two_gaussians(divergence: FDivergence, value: float) -> None:
    assert divergence(*gaussians()).item() == pytest.approx(value, rel=1e-5)


def test_the_divergences_are_relatives() -> None:
    p, q = atoms()
    values = {name: divergence(p, q).item() for name, divergence in D_FS.items()}
    assert values["kl"] == pytest.approx(kl(p, q).item())
    assert values["reverse-kl"] == pytest.approx(kl(q, p).item())
    assert values["jeffrey"] == pytest.approx((kl(p, q) + kl(q, p)).item())
    assert values["jensen-shannon"] == pytest.approx(2 * js(p, q).item())
    assert values["gan"] == pytest.approx(2 * js(p, q).item() - 2 * math.log(2))
    assert values["neyman"] == pytest.approx(f_divergence("pearson")(q, p).item())
    assert values["alpha 2"] == pytest.approx(values["pearson"] / 2)
    assert values["alpha 0.5"] == pytest.approx(values["squared-hellinger"] * 2)
    assert values["total-variation"] == pytest.approx((p - q).abs().sum().item() / 2)
    assert values["jensen-shannon-weighted 0.5"] == pytest.approx(js(p, q).item())
    m = 0.2 * p + 0.8 * q
    assert values["jensen-shannon-weighted 0.2"] == pytest.approx((0.2 * kl(p, m) + 0.8 * kl(q, m)).item())
    assert f_divergence("alpha", 1 + 1e-6)(p, q).item() == pytest.approx(values["kl"], rel=1e-4)
    assert f_divergence("alpha", 1e-6)(p, q).item() == pytest.approx(values["reverse-kl"], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, math.inf) for name in ("kl", "reverse-kl", "jeffrey", "pearson", "neyman")],
        ("squared-hellinger", 2),
        ("jensen-shannon", 2 * math.log(2)),
        ("gan", 0),
        ("total-variation", 1),
    ],
)
def test_disjoint_supports(name: str, value: float) -> None:
    p, q = torch.tensor([0.25, 0.75, 0, 0, 0]), torch.tensor([0, 0, 0.5, 0.5, 0])
    assert f_divergence(name)(p, q).item() == pytest.approx(value, abs=1e-6)


def test_kl_by_hand() -> None:
    p, q = torch.tensor([0.5, 0.5, 0, 0]), torch.tensor([0.25, 0.5, 0.25, 0])
    assert kl(p, q).item() == pytest.approx(math.log(2) / 2)
    assert kl(q, p).item() == math.inf
    assert torch.equal(kl(torch.stack([p, q]), q), torch.stack([kl(p, q), kl(q, q)]))


@pytest.mark.parametrize("divergence", [kl, js, *D_FS.values()], ids=["kl()", "js()", *D_FS])
def test_gradients(divergence: Callable[[Tensor, Tensor], Tensor]) -> None:
    p, q = (vector.requires_grad_() for vector in atoms())
    assert torch.autograd.gradcheck(divergence, (p, q))


def test_js_is_a_plateau_on_which_the_earth_movers_distance_is_a_slope() -> None:
    places = torch.linspace(0, 1, 501, dtype=torch.float64)[:, None]
    still = bump(torch.tensor(0.2, dtype=torch.float64))
    for distance in (0.3, 0.4, 0.5):
        centre = torch.tensor(0.2 + distance, dtype=torch.float64, requires_grad=True)
        divergence = js(still, bump(centre))
        assert divergence.item() == pytest.approx(math.log(2))
        assert torch.autograd.grad(divergence, centre)[0].item() == pytest.approx(0, abs=1e-9)
        transport = wasserstein(places, places, still, bump(centre))
        assert transport.item() == pytest.approx(distance, abs=1e-6)
        assert torch.autograd.grad(transport, centre)[0].item() == pytest.approx(1, abs=1e-3)
    overlapping = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    divergence = js(still, bump(overlapping))
    assert torch.autograd.grad(divergence, overlapping)[0].item() > 1


@pytest.mark.parametrize("angle", [-2.0, 0.0, 0.5, 3.0])
def test_two_parallel_segments_are_as_far_apart_as_they_are(angle: float) -> None:
    height = torch.rand(40, 1)
    theta = torch.tensor(angle, requires_grad=True)
    moved = torch.cat([theta.expand(40, 1), height.flip(0)], 1)
    distance = wasserstein(torch.cat([torch.zeros(40, 1), height], 1), moved)
    assert distance.item() == pytest.approx(abs(angle), abs=1e-12)
    assert torch.autograd.grad(distance, theta)[0].item() == pytest.approx(math.copysign(1, angle) if angle else 0, abs=1e-6)


def test_wasserstein_on_the_line_is_scipys() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(30, 1, dtype=torch.float64), 2 * torch.randn(17, 1, dtype=torch.float64) + 1
    p, q = torch.rand(30, dtype=torch.float64).softmax(0), torch.rand(17, dtype=torch.float64).softmax(0)
    assert wasserstein(x, y).item() == pytest.approx(stats.wasserstein_distance(x[:, 0], y[:, 0]))
    assert wasserstein(x, y, p, q).item() == pytest.approx(stats.wasserstein_distance(x[:, 0], y[:, 0], p, q))


def test_wasserstein_is_the_best_of_all_permutations() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 6, 3)
    best = min((x - y[list(order)]).norm(dim=1).mean().item() for order in itertools.permutations(range(6)))
    assert wasserstein(x, y).item() == pytest.approx(best)
    assert wasserstein(y, x).item() == pytest.approx(best)
    assert wasserstein(x, y.repeat(2, 1)).item() == pytest.approx(best)
    assert wasserstein(x, x.flip(0)).item() == 0


def test_wasserstein_by_hand() -> None:
    x, y = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0]])
    assert wasserstein(x, y).item() == pytest.approx(2.5)
    assert wasserstein(x, y, p=torch.tensor([0.9, 0.1])).item() == pytest.approx(0.5)


def test_wasserstein_keeps_the_digits_of_near_samples() -> None:
    x = 1e5 + torch.rand(60, 2, dtype=torch.float64)
    assert wasserstein(x, x + 2**-9).item() == pytest.approx(math.sqrt(2) / 512, rel=1e-6)


def test_wasserstein_gradients() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 5, 2, dtype=torch.float64).unbind()
    p, q = atoms()
    p, q = p[:5] / p[:5].sum(), q[:5] / q[:5].sum()
    assert torch.autograd.gradcheck(wasserstein, tuple(tensor.requires_grad_() for tensor in (x, y, p, q)))


def test_the_docstrings_examples() -> None:
    assert doctest.testmod(divergences).failed == 0


@pytest.mark.parametrize(
    ("name", "parameter", "message"),
    [
        ("kullback", None, "choose from alpha, gan"),
        ("kl", 0.5, "has no parameter"),
        ("alpha", None, "needs its parameter"),
        ("alpha", math.nan, "must be a number"),
        ("alpha", math.inf, "must be a number"),
        ("alpha", 1, "'kl' is the limit"),
        ("alpha", 0, "'reverse-kl' is the limit"),
        ("jensen-shannon-weighted", 1, "between 0 and 1"),
        ("jensen-shannon-weighted", 0, "between 0 and 1"),
    ],
)
def test_refuses_unknown_names_and_parameters(name: str, parameter: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        f_divergence(name, parameter)


@pytest.mark.parametrize("wrong", [torch.tensor([0.5, 0.6]), torch.tensor([1.5, -0.5]), torch.tensor([math.nan, 1])])
def test_refuses_what_is_no_distribution(wrong: Tensor) -> None:
    half = torch.tensor([0.5, 0.5])
    for divergence in (kl, js, f_divergence("kl")):
        with pytest.raises(ValueError, match="sum to 1"):
            divergence(half, wrong)
        with pytest.raises(ValueError, match="sum to 1"):
            divergence(wrong, half)


@pytest.mark.parametrize("wrong", [torch.empty(0, 2), torch.full((3, 2), math.nan), torch.full((3, 2), math.inf)])
def test_wasserstein_refuses_what_has_no_place(wrong: Tensor) -> None:
    there = torch.rand(4, 2)
    for pair in ((wrong, there), (there, wrong)):
        with pytest.raises(ValueError, match="all of them finite"):
            wasserstein(*pair)


def test_wasserstein_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"\[N, D\] and \[M, D\]"):
        wasserstein(torch.rand(4), torch.rand(4))
    with pytest.raises(ValueError, match=r"\[N, D\] and \[M, D\]"):
        wasserstein(torch.rand(4, 1), torch.rand(4, 2))
    with pytest.raises(ValueError, match="cannot weigh"):
        wasserstein(torch.rand(4, 1), torch.rand(4, 1), p=torch.ones(3) / 3)


# Mutants tried, each fails a test above:
# kl: p and q swapped in the ratio; ln p unmasked where p is 0 (NaN gradient). js: m = p + q; not halved.
# wasserstein: squared cost; cost in float32; cdist by matrix products; p or q ignored; solver stopped early; y detached.
# D_f(p, q): f(q/p); no term where q is 0; no term where p is 0; mass unmasked where the value is infinite (NaN gradient).
# kl: f* = e^t; f*(g) = e^v. reverse-kl: g = −e^v, which falls; f*(g) = v. neyman: v not halved. squared-hellinger: t/(1 + t).
# pearson: v²/2. jensen-shannon: no ln 2 in g; none in f. gan: threshold 0; f* = −ln(1 + e^t). total-variation: g = tanh v.
# jeffrey: W(e^(1+t)); f = (u + 1) ln u. alpha: f* not clamped; wrong power in f*(g); g falls.
# jensen-shannon-weighted: g without the factor π; f* weighted by π. No check of the vectors; negative entries pass.
