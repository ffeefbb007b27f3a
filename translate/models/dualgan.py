"""DualGAN: two translators with noise, coupled by what each makes of the other's work (Yi et al. 2017).

    l_D_A = D_A(G_A(u, z)) − D_A(v),    l_D_B = D_B(G_B(v, z')) − D_B(u)                               (eqs. 1 and 2)
    l_G = λ_U ‖u − G_B(G_A(u, z), z')‖₁ + λ_V ‖v − G_A(G_B(v, z'), z)‖₁ − D_A(G_A(u, z)) − D_B(G_B(v, z'))      (eq. 3)

G_A: U → V and G_B: V → U; D_A judges v, D_B judges u. The paper's loss is Wasserstein's with clipped weights, which the
recipe names like any other. The noise is the generators' dropout, at test as well (section 3.2).
"""

from typing import NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn.functional import l1_loss

from translate.gan.adversary import Adversary, named
from translate.gan.identity import check_identity, identity_loss


class Batch(Protocol):
    """x (the paper's u) and y (its v), which are no pair: `[N, 3, H, W]` in -1..1."""

    @property
    def x(self) -> Tensor: ...

    @property
    def y(self) -> Tensor: ...


class Out(NamedTuple):
    fake_v: Tensor
    """G_A(u, z)."""
    fake_u: Tensor
    """G_B(v, z')."""


class DualGAN(nn.Module):
    """`reconstruction_u` is λ_U, `reconstruction_v` λ_V (the paper: 100 to 1000; its authors' code: 200, later 20 and 500).
    `identity` weighs CycleGAN's ‖u − G_B(u, z')‖₁ + ‖v − G_A(v, z)‖₁ (Zhu et al. 2017, section 5.2), which the paper has not.

    A generator draws its noise itself where it is given none, so that z differs from step to step, and from G_A(u, z) to
    G_A(G_B(v, z'), z).
    """

    ways = 2

    def __init__(
        self,
        G_A: nn.Module,
        G_B: nn.Module,
        D_B: Adversary,
        D_A: Adversary,
        reconstruction_u: float = 200,
        reconstruction_v: float = 200,
        identity: float = 0,
    ) -> None:
        super().__init__()
        if min(reconstruction_u, reconstruction_v, identity) < 0:
            raise ValueError(f"dualgan: weights must be ≥ 0: {reconstruction_u=}, {reconstruction_v=}, {identity=}")
        if any(D.objective.metric or D.matching for D in (D_A, D_B)):
            raise ValueError("dualgan: a fake has no real partner, as loss-sensitive and feature-matching need it")
        if not all(getattr(G, "noise", None) for G in (G_A, G_B)):
            raise ValueError("dualgan: its generators take noise: a unet or resnet with dropout > 0; without it, take cyclegan")
        if identity:
            check_identity("dualgan", G_A)
        self.G_A, self.G_B, self.D_A, self.D_B = G_A, G_B, D_A, D_B
        self.reconstruction_u, self.reconstruction_v, self.identity = reconstruction_u, reconstruction_v, identity

    @property
    def players(self) -> dict[str, nn.Module]:
        """Who learns, in the order in which they move."""
        return {"critic": nn.ModuleList([self.D_A, self.D_B]), "generator": nn.ModuleList([self.G_A, self.G_B])}

    @property
    def translator(self) -> nn.Module:
        """What is exported, both ways."""
        return nn.ModuleDict({"there": self.G_A, "back": self.G_B})

    def forward(self, batch: Batch) -> Out:
        return Out(self.G_A(batch.x), self.G_B(batch.y))

    def losses(self, player: str, batch: Batch, out: Out) -> dict[str, Tensor]:
        """What `player` minimises, term by term and already weighted."""
        u, v = batch.x, batch.y
        if player == "critic":
            return named("A", self.D_A.critic(v, out.fake_v)) | named("B", self.D_B.critic(u, out.fake_u))
        terms = named("A", self.D_A.generator(out.fake_v, real=v)) | named("B", self.D_B.generator(out.fake_u, real=u))
        if self.reconstruction_u:
            terms["reconstruction_u"] = self.reconstruction_u * l1_loss(self.G_B(out.fake_v), u)
        if self.reconstruction_v:
            terms["reconstruction_v"] = self.reconstruction_v * l1_loss(self.G_A(out.fake_u), v)
        if self.identity:
            own_u, own_v = identity_loss(self.G_A, self.G_B, u, v)
            terms |= {"identity_u": self.identity * own_u, "identity_v": self.identity * own_v}
        return terms
