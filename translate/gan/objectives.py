"""Objectives: what critic and generator each minimise. Scores have any shape and no sigmoid has been applied to them."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus


class Objective(Protocol):
    """Both sides are minimised. `real` and `fake` are the critic's scores."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor: ...

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True)
class NonSaturating:
    """The GAN with the generator's loss that does not saturate (Goodfellow et al. 2014, section 3). Scores are logits."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return softplus(-fake).mean()


@dataclass(frozen=True)
class LeastSquares:
    """Least-squares GAN (Mao et al. 2017, eq. 9: a = 0, b = c = 1)."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return (fake - 1).square().mean() / 2


@dataclass(frozen=True)
class Hinge:
    """Hinge loss (Lim & Ye 2017, eq. 9; Miyato et al. 2018, eqs. 16 and 17)."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()


OBJECTIVES: dict[str, type[Objective]] = {
    "non-saturating": NonSaturating,
    "least-squares": LeastSquares,
    "hinge": Hinge,
}
