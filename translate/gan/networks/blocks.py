"""Blocks that several networks share."""

from torch import Tensor, nn


class Residual(nn.Module):
    """Residual block of two 3×3 convolutions without normalisation (Lim et al. 2017, EDSR, fig. 2c).

    `[N, C, H, W]` to the same shape. One output pixel depends on 2 pixels of context on each side.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        # Each block starts as the identity, so depth does not scale the activations and no normalisation is needed.
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(nn.functional.relu(self.first(x)))
