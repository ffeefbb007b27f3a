"""Objectives: what critic and generator each minimise.

Scores `real` and `fake` have any shape, `[N, ...]`. No sigmoid has been applied to them, unless an objective says that it may.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus

from translate.gan.divergences import FDivergence, f_divergence


class Objective(Protocol):
    """`real` and `fake` are the critic's scores, `distance` is ‖x − G(z)‖ for each pair, `[N]`. What an objective asks of its
    surroundings stands in class variables, so that a recipe which does not provide it can be refused."""

    energy: ClassVar[bool] = False
    """Scores must be energies ≥ 0, of a critic that is an autoencoder."""
    lipschitz: ClassVar[bool] = False
    """Has a meaning only for a critic that some constraint keeps Lipschitz."""
    bounded: ClassVar[bool] = False
    """Scores may be a sigmoid's, from 0 to 1."""
    labels: ClassVar[bool] = False
    """Scores answer labels, 1 for real and 0 for fake, which may be smoothed."""
    undecided: ClassVar[float] = 0
    """Where there are labels: the score that costs the same under either."""
    paired: ClassVar[bool] = False
    """The generator's loss needs `real`, and as many of them as of `fake`."""
    metric: ClassVar[bool] = False
    """The critic's loss needs `distance`."""

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor: ...

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Minimax(Objective):
    """The GAN (Goodfellow et al. 2014, eq. 1): E ln D(x) + E ln(1 − D(G(z))), D = σ(score). Scores are logits.

    The best critic's loss is 2 ln 2 − 2 JS (theorem 1). Where the critic is sure of a fake, the generator's gradient σ(score)
    is gone: this objective saturates.
    """

    labels: ClassVar[bool] = True

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -softplus(fake).mean()


@dataclass(frozen=True)
class NonSaturating(Objective):
    """The GAN whose generator maximises E ln D(G(z)) instead (Goodfellow et al. 2014, section 3): the same fixed point, and a
    gradient −σ(−score) that is largest where the critic is sure of a fake. Scores are logits."""

    labels: ClassVar[bool] = True

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return softplus(-fake).mean()


@dataclass(frozen=True)
class LeastSquares(Objective):
    """Least-squares GAN (Mao et al. 2017, eq. 9: a = 0, b = c = 1)."""

    bounded: ClassVar[bool] = True
    labels: ClassVar[bool] = True
    undecided: ClassVar[float] = 0.5

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return (fake - 1).square().mean() / 2


@dataclass(frozen=True)
class Wasserstein(Objective):
    """Wasserstein GAN (Arjovsky et al. 2017, eqs. 2 and 3). The best 1-Lipschitz critic's loss is −W₁, the earth mover's
    distance; without a Lipschitz constraint it falls for ever."""

    lipschitz: ClassVar[bool] = True

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()


@dataclass(frozen=True)
class Hinge(Objective):
    """Hinge loss (Lim & Ye 2017, eq. 9; Miyato et al. 2018, eqs. 16 and 17)."""

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()


@dataclass(frozen=True)
class FGAN(Objective):
    """f-GAN (Nowozin et al. 2016, eq. 6): critic and generator play for F = E g(v) − E f*(g(v)), v the scores of real and
    fake. The best critic's loss is −D_f(real‖fake).

    The generator minimises F itself, or, with `alternative`, maximises E g(v) over its fakes (section 3.2), as the
    non-saturating GAN does: F alone leaves it without a gradient where the critic is sure.
    """

    divergence: str
    """A name of `divergences.F_DIVERGENCES` or `divergences.F_FAMILIES`."""
    parameter: float | None = None
    """α of "alpha", π of "jensen-shannon-weighted"; the others have none."""
    alternative: bool = False

    def __post_init__(self) -> None:
        f_divergence(self.divergence, self.parameter)

    @property
    def D_f(self) -> FDivergence:
        return f_divergence(self.divergence, self.parameter)

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
        return self.D_f.conjugate_g(fake).mean() - self.D_f.g(real).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -self.D_f.g(fake).mean() if self.alternative else -self.D_f.conjugate_g(fake).mean()


@dataclass(frozen=True)
class EnergyBased(Objective):
    """Energy-based GAN (Zhao et al. 2017, eqs. 1 and 2): E D(x) + E [m − D(G(z))]₊. Scores are energies ≥ 0, an autoencoder's
    reconstruction errors: low for real samples, and raised for fakes up to the margin m only."""

    margin: float
    """m, in the unit of the energy."""

    energy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.margin < math.inf:
            raise ValueError(f"energy-based: the margin must be above 0, not {self.margin}: energies are, and fakes need room")

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
        return real.mean() + relu(self.margin - fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return fake.mean()


@dataclass(frozen=True)
class LossSensitive(Objective):
    """Loss-sensitive GAN (Qi 2017): γ E L(x) + λ E [s·Δ(x, G(z)) + L(x) − L(G(z))]₊, Δ = ‖x − G(z)‖₁. A score is a
    loss L: low for real samples, and higher for a fake by a margin that grows with its distance from its partner.

    The defaults are the paper's form. γ = 0 and s = 2e-4 are the authors' code. With γ > 0 a constant taken off L lowers the
    critic's loss for ever: L must have a lower bound, such as 0.
    """

    gamma: float = 1
    """γ, weight of the losses of real samples."""
    weight: float = 1
    """λ, weight of the margin's violation."""
    scale: float = 1
    """s, of the distance Δ; the sum over a picture's pixels is large."""

    metric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (0 <= self.gamma < math.inf and 0 < self.weight < math.inf and 0 <= self.scale < math.inf):
            raise ValueError(f"loss-sensitive: gamma and scale must be ≥ 0 and weight above 0, not {self}")

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
        _check_pairs("loss-sensitive", real, fake)
        if distance is None or distance.shape != real.shape[:1]:
            shape = None if distance is None else list(distance.shape)
            raise ValueError(f"loss-sensitive: distance must be one ‖x − G(z)‖ for each pair, [{len(real)}], not {shape}")
        margin = self.scale * distance.reshape(-1, *[1] * (real.dim() - 1))
        return self.gamma * real.mean() + self.weight * relu(margin + real - fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return fake.mean()


@dataclass(frozen=True)
class Relativistic(Objective):
    """Relativistic pairing GAN (Jolicoeur-Martineau 2019, RSGAN; Huang et al. 2024, R3GAN, eq. 2): critic and generator play for
    E ln σ(D(x) − D(G(z))). Which of a pair is the real one? Only differences of scores count."""

    paired: ClassVar[bool] = True

    def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
        _check_pairs("relativistic", real, fake)
        return softplus(fake - real).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        if real is None:
            raise ValueError("relativistic: the generator's loss needs the scores of real samples too")
        return self.critic(fake, real)


def _check_pairs(name: str, real: Tensor, fake: Tensor) -> None:
    if real.shape != fake.shape:  # broadcasting might compare every real sample with every fake
        raise ValueError(f"{name}: real and fake scores come in pairs, which {list(real.shape)} and {list(fake.shape)} are not")


OBJECTIVES: dict[str, type[Objective]] = {
    "minimax": Minimax,
    "non-saturating": NonSaturating,
    "least-squares": LeastSquares,
    "wasserstein": Wasserstein,
    "hinge": Hinge,
    "f-gan": FGAN,
    "energy-based": EnergyBased,
    "loss-sensitive": LossSensitive,
    "relativistic": Relativistic,
}
