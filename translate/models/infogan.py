"""InfoGAN: codes c that the critic's trunk can read back from the sample (Chen et al. 2016).

    min_{G,Q} max_D  V(D, G) − λ·L_I(G, Q),    L_I = E[log Q(c | G(z, c))] + H(c) ≤ I(c; G(z, c))        (eqs. 5 and 6)

Q shares D's trunk and adds a small head. A categorical code is read by softmax, continuous ones by a Gaussian of deviation 1.
As in the authors' program, both D's and G's step lower −λ·L_I, so that the trunk learns to read while G learns to write.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from translate.gan.adversary import Adversary


class Batch(Protocol):
    """x: `[N, C, H, W]` in -1..1."""

    @property
    def x(self) -> Tensor: ...


class Out(NamedTuple):
    fake: Tensor
    """G(z, c), like x."""
    category: Tensor
    """The categorical code, `[N]`."""
    continuous: Tensor
    """The continuous codes, `[N, K]` in -1..1."""


class Codes(NamedTuple):
    logits: Tensor
    """`[N, categories]`."""
    mean: Tensor
    """`[N, continuous]`."""


class Recogniser(nn.Module):
    """Q's head (appendix C.1: one hidden layer of 128) on the trunk's features."""

    def __init__(self, features: int, categories: int, continuous: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(features, 128), nn.LayerNorm(128), nn.LeakyReLU(0.1))
        self.logits, self.mean = nn.Linear(128, categories), nn.Linear(128, continuous)

    def forward(self, features: Tensor) -> Codes:
        hidden = self.hidden(features)
        return Codes(self.logits(hidden), self.mean(hidden))


class InfoGAN(nn.Module):
    """G takes `[noise, one-hot category, continuous codes]`, so of its `latent` numbers what codes leave is noise."""

    def __init__(self, G: nn.Module, D: Adversary, categories: int = 10, continuous: int = 2, weight: float = 1) -> None:
        super().__init__()
        noise = int(getattr(G, "latent", 0)) - categories - continuous
        if categories < 2 or continuous < 0 or noise < 0:
            raise ValueError(f"infogan: G's latent must hold {categories} categories and {continuous} codes; {noise=}")
        if not 0 < weight < math.inf:
            raise ValueError(
                f"infogan: the weight of the information term must be above 0, not {weight}: codes would mean nothing"
            )
        if not hasattr(D.network, "features"):
            raise ValueError(f"infogan: {type(D.network).__name__} has no features; choose mlp-critic or dcgan-critic")
        self.G, self.D = G, D
        self.noise, self.categories, self.continuous, self.weight = noise, categories, continuous, weight
        self.Q = Recogniser(D.network.score.in_features, categories, continuous)  # type: ignore[union-attr,arg-type]

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"critic": nn.ModuleList([self.D, self.Q]), "generator": self.G}

    @property
    def translator(self) -> nn.Module:
        return self.G

    def codes(self, n: int) -> tuple[Tensor, Tensor]:
        """c: categories `[n]`, equally likely, and continuous codes `[n, K]`, uniform in -1..1."""
        device = next(self.G.parameters()).device
        return torch.randint(self.categories, (n,), device=device), torch.rand(n, self.continuous, device=device) * 2 - 1

    def latent(self, n: int, classes: Tensor | None = None, continuous: Tensor | None = None) -> Tensor:
        """G's input, `[n, latent]`, with the codes given or drawn."""
        category, drawn = self.codes(n)
        category = category if classes is None else classes
        z = torch.randn(n, self.noise, device=category.device)
        return torch.cat([z, one_hot(category, self.categories).float(), drawn if continuous is None else continuous], dim=1)

    def read(self, x: Tensor) -> Codes:
        """Q(c | x)."""
        features: Callable[[Tensor], Tensor] = self.D.network.features  # type: ignore[assignment]
        return self.Q(features(x))

    def forward(self, batch: Batch) -> Out:
        category, continuous = self.codes(len(batch.x))
        return Out(self.G(self.latent(len(batch.x), category, continuous)), category, continuous)

    def losses(self, player: str, batch: Batch, out: Out) -> dict[str, Tensor]:
        if player == "critic":
            return self.D.critic(batch.x, out.fake) | {"information": self.weight * self.surprise(out.fake.detach(), out)}
        # Q's own weights move in the critic's step alone: G is this player's only module
        return self.D.generator(out.fake, real=batch.x) | {"information": self.weight * self.surprise(out.fake, out)}

    def surprise(self, fake: Tensor, out: Out) -> Tensor:
        """−E[log Q(c | x)] in nats, less the constant of the Gaussian."""
        found = self.read(fake)
        return cross_entropy(found.logits, out.category) + (found.mean - out.continuous).square().sum(dim=1).mean() / 2
