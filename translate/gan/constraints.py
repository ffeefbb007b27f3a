"""Constraints: what keeps a critic smooth. Three hooks: `wrap` once, `penalty` in every critic loss, `after_step`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Constraint(Protocol):
    """`score` is a callable, not a module, so that one penalty serves conditional and unconditional critics."""

    def wrap(self, critic: nn.Module) -> nn.Module: ...

    def penalty(self, score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor: ...

    def after_step(self, critic: nn.Module) -> None: ...


@dataclass(frozen=True)
class Unconstrained:
    """No constraint, as in the original GAN and pix2pix."""

    def wrap(self, critic: nn.Module) -> nn.Module:
        return critic

    def penalty(self, score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        return real.new_zeros(())

    def after_step(self, critic: nn.Module) -> None:
        """Nothing to do."""


@dataclass(frozen=True)
class SpectralNorm(Unconstrained):
    """Spectral normalisation (Miyato et al. 2018, eq. 8): every weight is divided by its largest singular value.

    A convolution's kernel is taken as the matrix `[out, in·k·k]`, whose norm does not bound the convolution's own.
    """

    def wrap(self, critic: nn.Module) -> nn.Module:
        for module in list(critic.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                spectral_norm(module)
        return critic


CONSTRAINTS: dict[str, type[Constraint]] = {"none": Unconstrained, "spectral-norm": SpectralNorm}
