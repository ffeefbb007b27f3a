"""Constraints: what keeps a critic smooth. Three hooks: `wrap` once, `penalty` in every critic loss, `after_step`.

Samples have any shape `[N, …]`, scores any shape with N first. Slopes are **per sample**: the gradient of a sample's own score
(the sum, where a critic scores patches) with respect to that sample. They are taken in float32, under autocast too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import register_parametrization

Score = Callable[[Tensor], Tensor]


class Constraint(Protocol):
    """`score` is a callable, not a module, so that one penalty serves conditional and unconditional critics."""

    per_sample: ClassVar[bool]
    """Needs a critic that does not mix samples: with BatchNorm, a sample's gradient is also its neighbours'."""
    lipschitz: ClassVar[bool]
    """Bounds the critic's slopes or penalises them, so that an objective linear in the scores (Wasserstein's) cannot run away."""

    def wrap(self, critic: nn.Module) -> nn.Module: ...

    def penalty(self, score: Score, real: Tensor, fake: Tensor) -> Tensor: ...

    def after_step(self, critic: nn.Module) -> None: ...


@dataclass(frozen=True)
class Unconstrained:
    """No constraint, as in the original GAN and pix2pix."""

    per_sample: ClassVar[bool] = False
    lipschitz: ClassVar[bool] = False

    def wrap(self, critic: nn.Module) -> nn.Module:
        return critic

    def penalty(self, score: Score, real: Tensor, fake: Tensor) -> Tensor:
        return real.new_zeros(())

    def after_step(self, critic: nn.Module) -> None:
        """Nothing to do."""


@dataclass(frozen=True)
class WeightClipping(Unconstrained):
    """Weights in a box (Arjovsky et al. 2017, algorithm 1, line 7): after each step of the critic, θ ← clip(θ, −c, c).

    All parameters, biases too, as in the authors' code. The critic is K-Lipschitz for some K that c, width and depth decide.
    """

    c: float = 0.01

    lipschitz: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive(self, c=self.c)

    @torch.no_grad()
    def after_step(self, critic: nn.Module) -> None:
        for parameter in critic.parameters():
            parameter.clamp_(-self.c, self.c)


@dataclass(frozen=True)
class GradientPenalty(Unconstrained):
    """Gradient penalty of WGAN-GP (Gulrajani et al. 2017, eq. 3): λ · E (‖∇D(x̂)‖₂ − 1)², two-sided.

    x̂ = ε x + (1 − ε) G(z), with one ε ~ U[0, 1] a sample; λ is `weight`, the 1 `target`. Real and fake have the same shape.
    """

    weight: float = 10
    target: float = 1

    per_sample: ClassVar[bool] = True
    lipschitz: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive(self, weight=self.weight)
        if not 0 <= self.target < math.inf:
            raise ValueError(f"GradientPenalty: the target is a slope and must be ≥ 0, not {self.target}")

    def penalty(self, score: Score, real: Tensor, fake: Tensor) -> Tensor:
        if real.shape != fake.shape:
            raise ValueError(
                f"GradientPenalty goes from each fake to one real sample, so both need one shape: real is {list(real.shape)}, "
                f"fake {list(fake.shape)}. Draw as many of one as of the other"
            )
        real, fake = _exact(real), _exact(fake)
        epsilon = _uniform(real)
        norm = vector_norm(_slopes(score, epsilon * real + (1 - epsilon) * fake), dim=1)
        return self.weight * (norm - self.target).square().mean()


@dataclass(frozen=True)
class Dragan(Unconstrained):
    """DRAGAN (Kodali et al. 2017): λ · E (‖∇D(x̂)‖₂ − 1)² around the real data alone.

    x̂ is that of the authors' code, x + α · spread · std(X) · u: α ~ U[0, 1] is drawn for each sample, u ~ U[0, 1] for each entry,
    std(X) is taken over the whole batch of real data. (The paper's text has x + δ, δ ~ N(0, cI).) Far from the data the critic is
    free.
    """

    weight: float = 10
    spread: float = 0.5

    per_sample: ClassVar[bool] = True
    lipschitz: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive(self, weight=self.weight, spread=self.spread)

    def penalty(self, score: Score, real: Tensor, fake: Tensor) -> Tensor:
        real = _exact(real)
        around = real + _uniform(real) * self.spread * real.std(correction=0) * torch.rand_like(real)
        return self.weight * (vector_norm(_slopes(score, around), dim=1) - 1).square().mean()


@dataclass(frozen=True)
class ZeroCentered(Unconstrained):
    """Zero-centred gradient penalties (Mescheder et al. 2018, section 4.1): R₁ = γ/2 · E‖∇D(x)‖², R₂ the same at G(z).

    γ is `weight`; `on` "both" is R₁ + R₂ (R3GAN, Huang et al. 2024). No Lipschitz constant comes of it: between the data a
    flexible critic may be steep, and its scores estimate no distance. It counts as `lipschitz` all the same, since the penalty
    grows with the square of the slope, and Wasserstein's gain with the slope alone. In the paper's Dirac-GAN the Jacobian's
    eigenvalues are −γ/2 ± √(γ²/4 − f′(0)²): that converges for Wasserstein's f(t) = t too, which circles for ever without.
    """

    weight: float = 10
    on: Literal["real", "fake", "both"] = "real"

    per_sample: ClassVar[bool] = True
    lipschitz: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive(self, weight=self.weight)
        if self.on not in ("real", "fake", "both"):
            raise ValueError(f"ZeroCentered: on is real, fake or both, not {self.on!r}")

    def penalty(self, score: Score, real: Tensor, fake: Tensor) -> Tensor:
        places = {"real": [real], "fake": [fake], "both": [real, fake]}[self.on]
        return self.weight / 2 * torch.stack([_slopes(score, x).square().sum(1).mean() for x in places]).sum()


@dataclass(frozen=True)
class SpectralNorm(Unconstrained):
    """Spectral normalisation (Miyato et al. 2018, eq. 8): every weight matrix is divided by its largest singular value.

    That makes a linear layer 1-Lipschitz, and a linear critic tight in Kantorovich's duality on two points: at distance d, their
    scores come to differ by d. A convolution's kernel is taken as the matrix `[out, in·k·k]`, whose norm does **not** bound the
    convolution's own: windows overlap, so that a k × k kernel of norm 1 may stretch a picture k-fold.

    `norm` is the largest singular value that each weight is given. With the paper's 1 a critic of few inputs stays far flatter
    than 1, as directions that one layer keeps are lost in the next, and points that are near each other score alike.
    """

    norm: float = 1

    lipschitz: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive(self, norm=self.norm)

    def wrap(self, critic: nn.Module) -> nn.Module:
        for module in list(critic.modules()):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                spectral_norm(module)
                if self.norm != 1:
                    register_parametrization(module, "weight", _Times(self.norm))
        return critic


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:
        return self.factor * weight


CONSTRAINTS: dict[str, type[Constraint]] = {
    "none": Unconstrained,
    "weight-clipping": WeightClipping,
    "gradient-penalty": GradientPenalty,
    "dragan": Dragan,
    "zero-centered": ZeroCentered,
    "spectral-norm": SpectralNorm,
}


def _slopes(score: Score, x: Tensor) -> Tensor:
    """Gradient of each sample's score with respect to that sample, `[N, D]`, which the critic's weights can be trained on."""
    x = _exact(x).requires_grad_()
    with torch.autocast(x.device.type, enabled=False):
        # Samples do not mix, so the gradient of the sum is every sample's own gradient.
        (gradient,) = torch.autograd.grad(score(x).sum(), x, create_graph=True)
    return gradient.reshape(len(x), -1)


def _exact(x: Tensor) -> Tensor:
    """Detached, and float32 at least: bfloat16's three digits are too few for a norm whose distance from 1 counts."""
    return x.detach().to(torch.promote_types(x.dtype, torch.float32))


def _uniform(x: Tensor) -> Tensor:
    """U[0, 1], one number a sample, in a shape that multiplies `x`."""
    return torch.rand(len(x), *[1] * (x.dim() - 1), dtype=x.dtype, device=x.device)


def _positive(constraint: Constraint, **values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{type(constraint).__name__}: {name} must be a number > 0, not {value} (no constraint is `none`)")
