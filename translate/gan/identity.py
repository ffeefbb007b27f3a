"""The identity loss between two kinds of pictures (Zhu et al. 2017, section 5.2), of the systems with two translators."""

from torch import Tensor, nn
from torch.nn.functional import l1_loss


def identity_loss(there: nn.Module, back: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """‖back(x) − x‖₁ and ‖there(y) − y‖₁: what already is of the target's kind should stay as it is."""
    return l1_loss(back(x), x), l1_loss(there(y), y)


def check_identity(system: str, translator: nn.Module) -> None:
    """Raises `ValueError` where the kinds differ in channels, so that no translator can be given its target's pictures."""
    if getattr(translator, "channels", 3) != getattr(translator, "out_channels", 3):
        raise ValueError(
            f"{system}: identity asks a translator for the pictures of its target: both sides need the same "
            "channels, or --set model.identity=0"
        )
