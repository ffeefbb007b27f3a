"""Adversary: a critic with its objective and its constraint. The only place that detaches."""

import torch
from torch import Tensor, nn

from translate.gan.constraints import Constraint
from translate.gan.objectives import Objective


class Adversary(nn.Module):
    """Scores pictures `[N, C, H, W]`, of which some channels may be a condition that real and fake share."""

    def __init__(self, critic: nn.Module, objective: Objective, constraint: Constraint) -> None:
        super().__init__()
        self.network = constraint.wrap(critic)
        self.objective = objective
        self.constraint = constraint

    def critic(self, real: Tensor, fake: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """The critic's losses. No gradient reaches whatever made `fake`."""
        real, fake = _join(condition, real).detach(), _join(condition, fake).detach()
        losses = {"critic": self.objective.critic(self.network(real), self.network(fake))}
        penalty = self.constraint.penalty(self.network, real, fake)
        return losses | {"penalty": penalty} if penalty.requires_grad else losses

    def generator(self, fake: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the generator minimises. The critic's own weights get no gradient."""
        self.network.requires_grad_(False)
        try:
            return self.objective.generator(self.network(_join(condition, fake)))
        finally:
            self.network.requires_grad_(True)

    def after_step(self) -> None:
        self.constraint.after_step(self.network)


def _join(condition: Tensor | None, picture: Tensor) -> Tensor:
    return picture if condition is None else torch.cat([condition, picture], dim=1)
