"""CycleGAN: two translators without pairs, each of which can undo the other (Zhu et al. 2017).

    L(G, F, D_X, D_Y) = L_GAN(G, D_Y) + L_GAN(F, D_X) + λ · L_cyc(G, F)                      (eq. 3)
    L_cyc = E‖F(G(x)) − x‖₁ + E‖G(F(y)) − y‖₁                                                (eq. 2)
    L_identity = E‖F(x) − x‖₁ + E‖G(y) − y‖₁                                                 (section 5.2)

G: X → Y and F: Y → X; D_X tells x from F(y), D_Y tells y from G(x). No noise: a picture has one translation.
"""

from typing import NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn.functional import l1_loss

from translate.gan.adversary import Adversary, named
from translate.gan.identity import check_identity, identity_loss
from translate.gan.stabilisers import PicturePool


class Batch(Protocol):
    """x and y, which are no pair: `[N, 3, H, W]` in -1..1."""

    @property
    def x(self) -> Tensor: ...

    @property
    def y(self) -> Tensor: ...


class Out(NamedTuple):
    fake_y: Tensor
    """G(x)."""
    fake_x: Tensor
    """F(y)."""


class CycleGAN(nn.Module):
    """`cycle` is λ, `identity` the weight of L_identity (0 in the first code, ½λ in the second), `pool` the number of earlier
    fakes that each critic is shown (section 4; 0: only the newest).

    `adversarial` weighs both L_GAN of the translators. The paper's is E(D(G(x)) − 1)²; the objective `least-squares` has the
    ½ of its own paper, so that 2 is the paper's weight.
    """

    ways = 2

    def __init__(
        self,
        G: nn.Module,
        F: nn.Module,
        D_X: Adversary,
        D_Y: Adversary,
        cycle: float = 10,
        identity: float = 0,
        adversarial: float = 1,
        pool: int = 50,
    ) -> None:
        super().__init__()
        if min(cycle, identity) < 0 or adversarial <= 0 or pool < 0:
            raise ValueError(f"cyclegan: weights must be ≥ 0, adversarial > 0: {cycle=}, {identity=}, {adversarial=}, {pool=}")
        if any(D.objective.metric or D.matching for D in (D_X, D_Y)):
            raise ValueError("cyclegan: a fake has no real partner, as loss-sensitive and feature-matching need it")
        if identity:
            check_identity("cyclegan", G)
        self.G, self.F, self.D_X, self.D_Y = G, F, D_X, D_Y
        self.cycle, self.identity, self.adversarial = cycle, identity, adversarial
        self.pool_x, self.pool_y = (PicturePool(pool) if pool else nn.Identity() for _ in range(2))

    @property
    def players(self) -> dict[str, nn.Module]:
        # The translators first, as in the authors' code: their critics are a step behind.
        return {"generator": nn.ModuleList([self.G, self.F]), "critic": nn.ModuleList([self.D_X, self.D_Y])}

    @property
    def translator(self) -> nn.Module:
        """What is exported, both ways."""
        return nn.ModuleDict({"there": self.G, "back": self.F})

    def forward(self, batch: Batch) -> Out:
        return Out(self.G(batch.x), self.F(batch.y))

    def losses(self, player: str, batch: Batch, out: Out) -> dict[str, Tensor]:
        """What `player` minimises, term by term and already weighted."""
        return self._critic(batch, out) if player == "critic" else self._generator(batch, out)

    def _generator(self, batch: Batch, out: Out) -> dict[str, Tensor]:
        terms = named("y", self.D_Y.generator(out.fake_y, real=batch.y)) | named(
            "x", self.D_X.generator(out.fake_x, real=batch.x)
        )
        terms = {name: self.adversarial * term for name, term in terms.items()}
        if self.cycle:
            terms["cycle_x"] = self.cycle * l1_loss(self.F(out.fake_y), batch.x)
            terms["cycle_y"] = self.cycle * l1_loss(self.G(out.fake_x), batch.y)
        if self.identity:
            own_x, own_y = identity_loss(self.G, self.F, batch.x, batch.y)
            terms |= {"identity_x": self.identity * own_x, "identity_y": self.identity * own_y}
        return terms

    def _critic(self, batch: Batch, out: Out) -> dict[str, Tensor]:
        # The pools draw in the order of the authors' code, so that a training can be compared with theirs step by step.
        fake_y, fake_x = self.pool_y(out.fake_y.detach()), self.pool_x(out.fake_x.detach())
        return named("x", self.D_X.critic(batch.x, fake_x)) | named("y", self.D_Y.critic(batch.y, fake_y))
