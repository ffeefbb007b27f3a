"""BiGAN: an encoder E beside the generator, and a critic of pairs (Donahue et al. 2017; ALI, Dumoulin et al. 2017).

    min_{G,E} max_D  E[log D(x, E(x))] + E[log(1 − D(G(z), z))]        (eq. 3)

At the optimum E inverts G. Neither is ever told so: there is no reconstruction term.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from translate.gan.adversary import Adversary, join


class Batch(Protocol):
    """x: `[N, ...]`."""

    @property
    def x(self) -> Tensor: ...


class Out(NamedTuple):
    real: Tensor
    """(E(x), x), joined: a code beside a picture becomes constant planes."""
    fake: Tensor
    """(z, G(z)), joined."""


class BiGAN(nn.Module):
    """G and E are one player. D takes pairs, so its channels (or numbers) are the code's and the sample's together."""

    def __init__(self, G: nn.Module, E: nn.Module, D: Adversary) -> None:
        super().__init__()
        noise = getattr(G, "latent", None)
        if noise is None:
            raise ValueError(f"bigan: {type(G).__name__} starts from no code; choose mlp-generator or dcgan-generator")
        if D.objective.metric or D.matching or D.pulling:
            raise ValueError("bigan: E and G are judged together: no loss-sensitive, feature-matching or pulling-away")
        self.G, self.E, self.D, self.noise = G, E, D, int(noise)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"critic": self.D, "generator": nn.ModuleList([self.G, self.E])}

    @property
    def translator(self) -> nn.Module:
        return self.G

    def latent(self, n: int, classes: Tensor | None = None) -> Tensor:
        """z ~ N(0, I), `[n, latent]`."""
        return torch.randn(n, self.noise, device=next(self.G.parameters()).device)

    def encode(self, x: Tensor) -> Tensor:
        """E(x), `[N, latent]`."""
        code: Tensor = self.E(x)
        return code

    def forward(self, batch: Batch) -> Out:
        z = self.latent(len(batch.x))
        return Out(join(self.E(batch.x), batch.x), join(z, self.G(z)))

    def losses(self, player: str, batch: Batch, out: Out) -> dict[str, Tensor]:
        if player == "critic":
            return self.D.critic(out.real, out.fake)
        return {"adversarial": self.D.fooled(out.real, out.fake)}
