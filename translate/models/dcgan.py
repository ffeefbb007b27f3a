"""GAN: a generator G that turns noise z into samples, and a critic D (Goodfellow et al. 2014, algorithm 1).

    min_G max_D  E[log D(x)] + E[log(1 − D(G(z)))]        (eq. 1)

With the networks of Radford et al. 2016 it is DCGAN; with other objectives and constraints, by recipe alone, WGAN, WGAN-GP,
LSGAN, f-GAN, Loss-Sensitive GAN, SN-GAN, DRAGAN, R3GAN and, with an autoencoder for a critic, EBGAN.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from translate.gan.adversary import Adversary
from translate.gan.stabilisers import ReferenceBatch, VirtualBatchNorm


class Batch(Protocol):
    """x: `[N, ...]`, real samples."""

    @property
    def x(self) -> Tensor: ...


class Out(NamedTuple):
    fake: Tensor
    """G(z), like x."""


class DCGAN(nn.Module):
    """Noise is normal, z ~ N(0, I). `pretrain` steps go by in which the critic alone learns, on real samples alone, as an
    autoencoder can (Zhao et al. 2017, section 4.4, compare EBGAN with and without).

    With `virtual`, G's batch normalisation becomes a virtual one (Salimans et al. 2016, section 3.5, in G alone): so many z are
    drawn as the reference batch when the system is made, and kept in G.
    """

    seen: Tensor

    def __init__(self, G: nn.Module, D: Adversary, pretrain: int = 0, virtual: int = 0) -> None:
        super().__init__()
        noise = getattr(G, "latent", None)
        if noise is None:
            raise ValueError(f"dcgan: {type(G).__name__} does not start from noise; choose an mlp-generator or a dcgan-generator")
        if pretrain < 0:
            raise ValueError(f"dcgan: pretrain counts steps, so it cannot be {pretrain}")
        if pretrain and not getattr(D.network, "energy", False):
            raise ValueError("dcgan: only an autoencoder critic can be trained in advance, on real samples alone")
        if virtual:
            G = ReferenceBatch(VirtualBatchNorm.convert(G), torch.randn(max(virtual, 0), int(noise)))
        self.G, self.D, self.noise, self.pretrain = G, D, int(noise), pretrain
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"critic": self.D, "generator": self.G}

    @property
    def translator(self) -> nn.Module:
        return self.G

    def latent(self, n: int, classes: Tensor | None = None) -> Tensor:
        """z, `[n, latent]`."""
        return torch.randn(n, self.noise, device=next(self.G.parameters()).device)

    def forward(self, batch: Batch) -> Out:
        self.seen += 1
        return Out(self.G(self.latent(len(batch.x))))

    def losses(self, player: str, batch: Batch, out: Out) -> dict[str, Tensor]:
        if self.seen <= self.pretrain:
            return {"energy": self.D.network(batch.x).mean()} if player == "critic" else {}
        return self.D.critic(batch.x, out.fake) if player == "critic" else self.D.generator(out.fake, real=batch.x)
