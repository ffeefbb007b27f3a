"""CGAN on pictures: a generator G that translates x into y, and a critic D that looks at both (Isola et al. 2017, pix2pix).

    G* = arg min_G max_D  λ_adv · L_cGAN(G, D) + λ_L1 · E‖y − G(x)‖₁        (eq. 4)
                          + λ_∇ · E‖∇y − ∇G(x)‖₁ − λ_P · E PSNR(y, G(x))

The gradient term compares differences of neighbouring pixels (after Mathieu et al. 2016, eq. 6 with α = 1, which drops their
signs): it asks for edges in the right place, and needs no network that somebody else trained. PSNR as a loss (Chen et al.
2021, HINet, section 3.3) is the logarithm of each picture's own error, so that a picture with little damage counts as much
as one that has a lot.
"""

from typing import NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn.functional import l1_loss

from translate.gan.adversary import Adversary


class Batch(Protocol):
    """x and y: `[N, 3, H, W]` in -1..1."""

    @property
    def x(self) -> Tensor: ...

    @property
    def y(self) -> Tensor: ...


class Out(NamedTuple):
    fake: Tensor
    """G(x), `[N, 3, H, W]`."""


class CGAN(nn.Module):
    """Paired translator. With `adversarial` 0 there is no critic to train and the generator learns by regression alone.

    `critic` weighs what the critic minimises: pix2pix halves it (section 3.3), which Adam all but undoes.
    """

    def __init__(
        self,
        G: nn.Module,
        D: Adversary,
        l1: float = 100,
        gradient: float = 0,
        psnr: float = 0,
        adversarial: float = 1,
        critic: float = 1,
    ) -> None:
        super().__init__()
        weights = (l1, gradient, psnr, adversarial)
        if min(weights) < 0 or sum(weights) == 0:
            raise ValueError(f"cgan: weights must be ≥ 0 and not all 0: {l1=}, {gradient=}, {psnr=}, {adversarial=}")
        if critic <= 0:
            raise ValueError(f"cgan: the critic's weight must be > 0, not {critic}")
        self.G = G
        self.D = D
        self.l1, self.gradient, self.psnr, self.adversarial = weights
        self.critic = critic

    @property
    def players(self) -> dict[str, nn.Module]:
        """Who learns, in the order in which they move."""
        return {"critic": self.D, "generator": self.G} if self.adversarial else {"generator": self.G}

    @property
    def translator(self) -> nn.Module:
        """What is exported."""
        return self.G

    def forward(self, batch: Batch) -> Out:
        return Out(self.G(batch.x))

    def losses(self, player: str, batch: Batch, out: Out) -> dict[str, Tensor]:
        """What `player` minimises, term by term and already weighted."""
        return self._critic(batch, out) if player == "critic" else self._generator(batch, out)

    def _critic(self, batch: Batch, out: Out) -> dict[str, Tensor]:
        return {name: self.critic * term for name, term in self.D.critic(batch.y, out.fake, condition=batch.x).items()}

    def _generator(self, batch: Batch, out: Out) -> dict[str, Tensor]:
        terms = {}
        if self.l1:
            terms["l1"] = self.l1 * l1_loss(out.fake, batch.y)
        if self.gradient:
            terms["gradient"] = self.gradient * gradient_difference(out.fake, batch.y)
        if self.psnr:
            terms["psnr"] = -self.psnr * peak_signal_to_noise(out.fake, batch.y)
        if self.adversarial:
            adversarial = self.D.generator(out.fake, condition=batch.x, real=batch.y)
            terms |= {name: self.adversarial * term for name, term in adversarial.items()}
        return terms


def gradient_difference(fake: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference of the two pictures' horizontal and vertical differences, signs and all: dark-to-light is
    no light-to-dark (Mathieu et al. 2016, eq. 6, compares their absolute values)."""
    error = fake - real
    return (error[..., :, 1:] - error[..., :, :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()


def peak_signal_to_noise(fake: Tensor, real: Tensor, most: float = 45) -> Tensor:
    """Mean PSNR over the pictures, in dB, of values in -1..1; it nears `most` where they are equal, and has no infinite slope."""
    error = (fake.float() - real).square().flatten(1).mean(dim=1) / 4
    return -10 * (error + 10 ** (-most / 10)).log10().mean()
