"""Systems, one file each, readable as their paper's algorithm box."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from translate.models.bigan import BiGAN
from translate.models.cgan import CGAN
from translate.models.class_cgan import ClassCGAN
from translate.models.cyclegan import CycleGAN
from translate.models.dcgan import DCGAN
from translate.models.dualgan import DualGAN
from translate.models.infogan import InfoGAN
from translate.models.vaegan import VAEGAN


class System(Protocol):
    """What the training loop knows of a system, beside its being an `nn.Module`."""

    @property
    def players(self) -> Mapping[str, nn.Module]:
        """Who learns, each with an optimiser of its own, in the order in which they move."""

    @property
    def translator(self) -> nn.Module:
        """What is averaged, measured and exported: a network, or a `ModuleDict` of two: `there` and `back`."""

    def __call__(self, batch: Any) -> Any:
        """What all players of one step share, such as the fake pictures."""

    def losses(self, player: str, batch: Any, out: Any) -> dict[str, Tensor]:
        """What `player` minimises, term by term and already weighted."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def buffers(self) -> Iterator[Tensor]: ...

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...

    def to(self, *args: Any, **kwargs: Any) -> "System": ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> Any: ...


@runtime_checkable
class Generative(Protocol):
    """A system that draws samples from noise."""

    def latent(self, n: int, classes: Tensor | None = None) -> Tensor:
        """The generator's input for `n` samples; of the given classes, where it knows classes."""


MODELS: dict[str, type[System]] = {
    "bigan": BiGAN,
    "cgan": CGAN,
    "class-cgan": ClassCGAN,
    "cyclegan": CycleGAN,
    "dcgan": DCGAN,
    "dualgan": DualGAN,
    "infogan": InfoGAN,
    "vaegan": VAEGAN,
}
