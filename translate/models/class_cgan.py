"""CGAN on classes: generator and critic are both told the class y (Mirza & Osindero 2014).

    min_G max_D  E[log D(x | y)] + E[log(1 − D(G(z | y) | y))]        (eq. 2)

y is a one-hot vector: beside z for G, and for D beside the sample (as constant planes, where that is a picture).
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from translate.gan.adversary import Adversary


class Batch(Protocol):
    """x: `[N, ...]`, and its classes y: `[N]`."""

    @property
    def x(self) -> Tensor: ...

    @property
    def y(self) -> Tensor: ...


class Out(NamedTuple):
    fake: Tensor
    """G(z | y), like x."""
    y: Tensor
    """One-hot, `[N, classes]`."""


class ClassCGAN(nn.Module):
    """Of G's `latent` numbers the last `classes` are y; D's samples have `classes` channels (or numbers) more than x."""

    def __init__(self, G: nn.Module, D: Adversary, classes: int = 10) -> None:
        super().__init__()
        noise = int(getattr(G, "latent", 0)) - classes
        if classes < 2 or noise < 1:
            raise ValueError(f"class-cgan: the generator's latent must hold {classes} classes and some noise; it leaves {noise}")
        self.G, self.D, self.noise, self.classes = G, D, noise, classes

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"critic": self.D, "generator": self.G}

    @property
    def translator(self) -> nn.Module:
        return self.G

    def latent(self, n: int, classes: Tensor | None = None) -> Tensor:
        """z and y, `[n, latent]`; y is drawn where it is not given."""
        device = next(self.G.parameters()).device
        y = torch.randint(self.classes, (n,), device=device) if classes is None else classes
        return torch.cat([torch.randn(n, self.noise, device=device), one_hot(y, self.classes).float()], dim=1)

    def forward(self, batch: Batch) -> Out:
        return Out(self.G(self.latent(len(batch.x), batch.y)), one_hot(batch.y, self.classes).float())

    def losses(self, player: str, batch: Batch, out: Out) -> dict[str, Tensor]:
        if player == "critic":
            return self.D.critic(batch.x, out.fake, condition=out.y)
        return self.D.generator(out.fake, condition=out.y, real=batch.x)
