"""Systems, one file each, readable as their paper's algorithm box."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from translate.models.cgan import CGAN


class System(Protocol):
    """What the training loop knows of a system, beside its being an `nn.Module`."""

    @property
    def players(self) -> Mapping[str, nn.Module]:
        """Who learns, each with an optimiser of its own, in the order in which they move."""

    @property
    def translator(self) -> nn.Module:
        """The network that is averaged, measured and exported."""

    def __call__(self, batch: Any) -> Any:
        """What all players of one step share, such as the fake pictures."""

    def losses(self, player: str, batch: Any, out: Any) -> dict[str, Tensor]:
        """What `player` minimises, term by term and already weighted."""

    def to(self, *args: Any, **kwargs: Any) -> "System": ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> Any: ...


MODELS: dict[str, type[System]] = {"cgan": CGAN}
