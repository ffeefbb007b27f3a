"""Divergences: how far apart two distributions are. What a GAN's critic estimates and its generator brings down."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import log

import torch
from scipy.special import wrightomega
from torch import Tensor
from torch.nn.functional import softplus


def kl(p: Tensor, q: Tensor) -> Tensor:
    """Kullback-Leibler divergence Σ p ln(p/q) in nats, over the last dimension; ∞ where q is 0 and p is not.

    p, q: probability vectors `[..., K]`; 0·ln 0 is 0, and so is its gradient. Raises `ValueError` for anything else.
    """
    _check(p, q)
    support = p > 0
    ratio = torch.where(support, p, 1).log() - torch.where(support, q, 1).log()
    return torch.where(support, p * ratio, 0).sum(-1)


def js(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence ½ KL(p‖m) + ½ KL(q‖m) in nats, m = (p + q)/2; from 0 to ln 2. Shapes as in `kl`.

    ln 2 is a plateau: two distributions that share no support are ln 2 apart, be they neighbours or far away, so their distance
    has no gradient by which they could approach (Arjovsky et al. 2017, example 1). `wasserstein` sees the way between them:

    >>> x = torch.arange(6.)
    >>> here, near, far = torch.eye(6)[[0, 1, 5]]
    >>> [f"{js(here, there):.4f}" for there in (near, far)]
    ['0.6931', '0.6931']
    >>> [f"{wasserstein(x[:, None], x[:, None], here, there):.4f}" for there in (near, far)]
    ['1.0000', '5.0000']
    """
    m = (p + q) / 2
    return (kl(p, m) + kl(q, m)) / 2


def wasserstein(x: Tensor, y: Tensor, p: Tensor | None = None, q: Tensor | None = None) -> Tensor:
    """Earth mover's distance W₁ = min_γ E_(x,y)~γ ‖x − y‖₂ (Arjovsky et al. 2017, eq. 1), exact, in the unit of the samples.

    x: `[N, D]`, y: `[M, D]`. p: `[N]`, q: `[M]`: probabilities of the samples, or a histogram's at its bins' places; uniform
    unless given. A float64 scalar, differentiable in all four. Made for small samples, N and M up to about 1000.
    Raises `ValueError` for other shapes, and for samples that are no numbers.
    """
    import ot  # whoever trains imports this file with the objectives, and needs no transport

    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"wasserstein: samples must be [N, D] and [M, D], not {list(x.shape)} and {list(y.shape)}")
    if not (len(x) and len(y) and x.isfinite().all() and y.isfinite().all()):
        raise ValueError("wasserstein: at least one sample on each side is needed, and all of them finite")
    p = x.new_full(x.shape[:1], 1 / len(x)) if p is None else p
    q = y.new_full(y.shape[:1], 1 / len(y)) if q is None else q
    if p.shape != x.shape[:1] or q.shape != y.shape[:1]:
        raise ValueError(f"wasserstein: {len(x)} and {len(y)} samples cannot weigh {list(p.shape)} and {list(q.shape)}")
    _check(p, q)
    # By way of matrix products, as cdist does it for large inputs, neighbours would lose all their digits.
    cost = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")
    p, q = p.double(), q.double()
    distance: Tensor = ot.emd2(p / p.sum(), q / q.sum(), cost, numItermax=10_000_000)
    return distance


@dataclass(frozen=True)
class FDivergence:
    """D_f(p‖q) = Σ q f(p/q), and what a critic needs to estimate it from samples (Nowozin et al. 2016, eqs. 2, 4 and 5):

        D_f(p‖q) = sup_v E_p g(v) − E_q f*(g(v)),    attained where g(v) = f′(p/q)

    All four functions work elementwise on tensors.
    """

    f: Callable[[Tensor], Tensor]
    """The generator function: convex, of a ratio u ≥ 0. f(1) = 0 but for `gan`, whose f(1) is −2 ln 2."""
    conjugate: Callable[[Tensor], Tensor]
    """f*(t) = sup_u ut − f(u), for t in the range of f′."""
    g: Callable[[Tensor], Tensor]
    """Output activation g_f: increasing, from any v in ℝ onto that range."""
    conjugate_g: Callable[[Tensor], Tensor]
    """f*(g(v)) in closed form, which stays finite where the composition overflows."""
    threshold: float
    """f′(1): where g(v) is above it, the critic holds a sample for real."""

    def __call__(self, p: Tensor, q: Tensor) -> Tensor:
        """D_f(p‖q) of probability vectors `[..., K]`. Where q is 0, a term is p · f′(∞), and f′(∞) = sup g."""
        _check(p, q)
        p, q = torch.broadcast_tensors(p, q)
        both = (p > 0) & (q > 0)
        ratio = torch.where(both, p, 1) / torch.where(both, q, 1)
        zero, infinity = q.new_zeros(()), q.new_tensor(torch.inf)
        terms = _where(both, q, self.f(ratio)) + _where(p == 0, q, self.f(zero)) + _where(q == 0, p, self.g(infinity))
        return terms.sum(-1)


def _where(place: Tensor, mass: Tensor, value: Tensor) -> Tensor:
    """mass · value there, where mass is not 0. Elsewhere 0, with a gradient of 0 even if value is ∞."""
    place = place & (mass > 0)
    return torch.where(place, torch.where(place, mass, 1) * value, 0)


def f_divergence(name: str, parameter: float | None = None) -> FDivergence:
    """The f-divergence of that name: of `F_DIVERGENCES`, or of `F_FAMILIES` with its parameter.

    Raises `ValueError` for an unknown name, a parameter that is missing or too many, or one out of range.
    """
    if name in F_FAMILIES:
        if parameter is None:
            raise ValueError(f"f-divergence {name!r} needs its parameter, such as 0.5")
        return F_FAMILIES[name](parameter)
    if name not in F_DIVERGENCES:
        raise ValueError(f"unknown f-divergence {name!r}; choose from {', '.join(sorted(F_DIVERGENCES | F_FAMILIES))}")
    if parameter is not None:
        raise ValueError(f"f-divergence {name!r} has no parameter, but got {parameter}")
    return F_DIVERGENCES[name]


def _identity(v: Tensor) -> Tensor:
    return v


def _jensen(u: Tensor) -> Tensor:
    return torch.xlogy(u, u) - torch.xlogy(u + 1, u + 1)


def _jeffrey_conjugate(t: Tensor) -> Tensor:
    """The supremum is attained at u = 1 / W(e^(1−t)), Lambert's W, and its gradient needs no gradient of u there."""
    u = 1 / torch.as_tensor(wrightomega((1 - t).detach().double().cpu().numpy())).to(t)
    return t * u - (u - 1) * u.log()


def _alpha(a: float) -> FDivergence:
    """The α-divergence, α ∈ ℝ \\ {0, 1}: Pearson's at 2 and the squared Hellinger distance at ½, but for factors ½ and 2."""
    if not math.isfinite(a):
        raise ValueError(f"f-divergence 'alpha': the parameter must be a number, not {a}")
    if a in (0, 1):
        raise ValueError(
            f"f-divergence 'alpha': the parameter must not be {a:g}; {'kl' if a else 'reverse-kl'!r} is the limit there"
        )

    def f(u: Tensor) -> Tensor:
        return (u**a - 1 - a * (u - 1)) / (a * (a - 1))

    def conjugate(t: Tensor) -> Tensor:
        return ((1 + (a - 1) * t).clamp(min=0) ** (a / (a - 1)) - 1) / a

    if a > 1:
        return FDivergence(f, conjugate, _identity, conjugate, 0)

    def g(v: Tensor) -> Tensor:
        return 1 / (1 - a) - softplus(-v)

    def conjugate_g(v: Tensor) -> Tensor:
        return (((1 - a) * softplus(-v)) ** (a / (a - 1)) - 1) / a

    return FDivergence(f, conjugate, g, conjugate_g, 0)


def _weighted_jensen_shannon(w: float) -> FDivergence:
    """π KL(p‖m) + (1 − π) KL(q‖m), m = πp + (1 − π)q, 0 < π < 1. The table's g lacks the factor π before the softplus: any
    increasing g onto the range will do, and with it v is the log odds of a sample's being real, as for `gan`."""
    if not 0 < w < 1:
        raise ValueError(f"f-divergence 'jensen-shannon-weighted': the parameter must lie between 0 and 1, not at {w:g}")

    def f(u: Tensor) -> Tensor:
        return w * torch.xlogy(u, u) - torch.xlogy(1 - w + w * u, 1 - w + w * u)

    def conjugate(t: Tensor) -> Tensor:
        return (1 - w) * (log(1 - w) - torch.log1p(-w * torch.exp(t / w)))

    def g(v: Tensor) -> Tensor:
        return -w * (log(w) + softplus(-v))

    def conjugate_g(v: Tensor) -> Tensor:
        return (1 - w) * (log(1 - w) + softplus(v))

    return FDivergence(f, conjugate, g, conjugate_g, 0)


# Nowozin et al. 2016, tables 5 and 6, with the sign of v such that g increases. Pearson's f* is taken over all real u, as there:
# over u ≥ 0 it stays at −1 below t = −2, where no optimum lies. Their f of Jensen-Shannon makes D_f twice `js`.
F_DIVERGENCES: dict[str, FDivergence] = {
    "kl": FDivergence(
        f=lambda u: torch.xlogy(u, u),
        conjugate=lambda t: torch.exp(t - 1),
        g=_identity,
        conjugate_g=lambda v: torch.exp(v - 1),
        threshold=1,
    ),
    "reverse-kl": FDivergence(
        f=lambda u: -torch.log(u),
        conjugate=lambda t: -1 - torch.log(-t),
        g=lambda v: -torch.exp(-v),
        conjugate_g=lambda v: v - 1,
        threshold=-1,
    ),
    "jeffrey": FDivergence(
        f=lambda u: (u - 1) * torch.log(u),
        conjugate=_jeffrey_conjugate,
        g=_identity,
        conjugate_g=_jeffrey_conjugate,
        threshold=0,
    ),
    "pearson": FDivergence(
        f=lambda u: (u - 1) ** 2,
        conjugate=lambda t: t**2 / 4 + t,
        g=_identity,
        conjugate_g=lambda v: v**2 / 4 + v,
        threshold=0,
    ),
    "neyman": FDivergence(
        f=lambda u: (1 - u) ** 2 / u,
        conjugate=lambda t: 2 - 2 * torch.sqrt(1 - t),
        g=lambda v: -torch.expm1(-v),
        conjugate_g=lambda v: -2 * torch.expm1(-v / 2),
        threshold=0,
    ),
    "squared-hellinger": FDivergence(
        f=lambda u: (torch.sqrt(u) - 1) ** 2,
        conjugate=lambda t: t / (1 - t),
        g=lambda v: -torch.expm1(-v),
        conjugate_g=torch.expm1,
        threshold=0,
    ),
    "jensen-shannon": FDivergence(
        f=lambda u: _jensen(u) + (u + 1) * log(2),
        conjugate=lambda t: -torch.log(2 - torch.exp(t)),
        g=lambda v: log(2) - softplus(-v),
        conjugate_g=lambda v: softplus(v) - log(2),
        threshold=0,
    ),
    "gan": FDivergence(
        f=_jensen,
        conjugate=lambda t: -torch.log(-torch.expm1(t)),
        g=lambda v: -softplus(-v),
        conjugate_g=softplus,
        threshold=-log(2),
    ),
    "total-variation": FDivergence(
        f=lambda u: (u - 1).abs() / 2,
        conjugate=_identity,
        g=lambda v: torch.tanh(v) / 2,
        conjugate_g=lambda v: torch.tanh(v) / 2,
        threshold=0,
    ),
}

F_FAMILIES: dict[str, Callable[[float], FDivergence]] = {
    "alpha": _alpha,
    "jensen-shannon-weighted": _weighted_jensen_shannon,
}


def _check(*vectors: Tensor) -> None:
    for vector in vectors:
        total = vector.detach().sum(-1)
        if (vector < 0).any() or not torch.allclose(total, torch.ones_like(total), atol=1e-3):
            raise ValueError("divergence: probabilities must be ≥ 0 and sum to 1 over the last dimension; divide by their sum")
