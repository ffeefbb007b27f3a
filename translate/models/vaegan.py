"""VAE-GAN: a variational autoencoder whose reconstructions are compared in the critic's features (Larsen et al. 2016).

    L = L_prior + L_llike + L_GAN                                                        (eq. 8)
    L_prior = KL(N(μ(x), σ²(x)) ‖ N(0, I)),    L_llike = ‖D_l(x) − D_l(G(z))‖² / 2,  z ~ E(x)        (eqs. 3 and 7)

Algorithm 1 has three players, of whom each sees its own terms: the encoder E L_prior + L_llike, the decoder G
γ·L_llike − L_GAN, the critic L_GAN on real samples, reconstructions and samples from the prior. In L_GAN real samples weigh
as much as both kinds of fakes together, where the paper adds the three alike.
"""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from translate.gan.adversary import Adversary


class Batch(Protocol):
    """x: `[N, ...]`."""

    @property
    def x(self) -> Tensor: ...


class Out(NamedTuple):
    mean: Tensor
    log_variance: Tensor
    z: Tensor
    """Drawn from E(x); all three `[N, latent]`."""
    prior: Tensor
    """z_p ~ N(0, I), `[N, latent]`."""


class VAEGAN(nn.Module):
    """E's output is `[N, 2·latent]`: means and logarithms of variances. `gamma` is the paper's γ."""

    def __init__(self, G: nn.Module, E: nn.Module, D: Adversary, gamma: float = 1e-3, prior: float = 1) -> None:
        super().__init__()
        noise = getattr(G, "latent", None)
        if noise is None:
            raise ValueError(f"vaegan: {type(G).__name__} starts from no code; choose mlp-generator or dcgan-generator")
        if not (0 <= gamma < math.inf and 0 < prior < math.inf):
            raise ValueError(f"vaegan: gamma must be at least 0 and prior above it, not {gamma=}, {prior=}")
        if not hasattr(D.network, "features"):
            raise ValueError(f"vaegan: {type(D.network).__name__} has no features; choose mlp-critic or dcgan-critic")
        if D.comparison:
            raise ValueError(
                "vaegan: each real sample stands twice in its batch, where minibatch-discrimination would know it by that"
            )
        self.G, self.E, self.D, self.noise = G, E, D, int(noise)
        self.gamma, self.prior = gamma, prior

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"critic": self.D, "encoder": self.E, "generator": self.G}

    @property
    def translator(self) -> nn.Module:
        return self.G

    def latent(self, n: int, classes: Tensor | None = None) -> Tensor:
        """z_p, `[n, latent]`."""
        return torch.randn(n, self.noise, device=next(self.G.parameters()).device)

    def encode(self, x: Tensor) -> Tensor:
        """μ(x), `[N, latent]`."""
        mean: Tensor = self.E(x).chunk(2, dim=1)[0]
        return mean

    def forward(self, batch: Batch) -> Out:
        mean, log_variance = self.E(batch.x).chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return Out(mean, log_variance, z, self.latent(len(mean)))

    def losses(self, player: str, batch: Batch, out: Out) -> dict[str, Tensor]:
        if player == "encoder":
            return {
                "prior": self.prior * divergence(out.mean, out.log_variance),
                "likeness": self._likeness(batch.x, self.G(out.z)),
            }
        # In one pass, so that G's batch statistics are those of posterior and prior together, as they are for sampling
        x, fake = torch.cat([batch.x, batch.x]), self.G(torch.cat([out.z.detach(), out.prior]))
        if player == "critic":
            return self.D.critic(x, fake)
        rebuilt = fake[: len(batch.x)]
        return self.D.generator(fake, real=x) | {"likeness": self.gamma * self._likeness(batch.x, rebuilt)}

    def _likeness(self, x: Tensor, rebuilt: Tensor) -> Tensor:
        """−log p(D_l(x) | z) without its constant, summed over the features."""
        features = self.D.network.features
        return (features(x).detach() - features(rebuilt)).square().sum(dim=1).mean() / 2  # type: ignore[operator]


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, I)) in nats, mean over the batch (Kingma & Welling 2014, appendix B). In float32 at least: near its
    minimum the terms cancel, and bfloat16 would keep their rounding."""
    mean, log_variance = (value.to(torch.promote_types(value.dtype, torch.float32)) for value in (mean, log_variance))
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
