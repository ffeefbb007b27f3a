"""ResNet generator: CycleGAN's (Zhu et al. 2017, appendix 7.2), after Johnson et al. (2016)."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from translate.gan.networks.blocks import biased, check_counts, initialise, kept, upsampling
from translate.gan.networks.blocks import translator_norm as normalisation


class ResNet(nn.Module):
    """G: pictures `[N, channels, H, W]` → `[N, out_channels, H, W]` in -1..1; H and W multiples of 4, at
    least 8: `stride` is 8, to which pictures are padded (of a single place at the bottom a norm would leave nothing).

        c7s1-64, d128, d256, R256 × `blocks`, u128, u64, c7s1-3        (9 blocks at 256 px, 6 at 128)

    `upsample` "transposed" is CycleGAN's u: kernel 3, stride 2, which covers pixels unevenly; "resize" covers them alike.
    Where `dropout` > 0, each block drops that share of its numbers, between its convolutions. That is noise, in training and at
    test alike, as the reference PyTorch implementation of pix2pix has it in this network: G(x, z) drops where the uniform noise
    z, `[N, noise["channels"], H / 4, W / 4]` in -1..1, is below 2·dropout − 1; G(x) draws z itself. CycleGAN has none.

    `reach` holds where the statistics of norms are given; "layer" has none.
    """

    stride = 8

    def __init__(
        self,
        channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        norm: str = "instance",
        upsample: str = "transposed",
        dropout: float = 0,
    ) -> None:
        super().__init__()
        check_counts("ResNet", channels=channels, out_channels=out_channels, width=width, blocks=blocks)
        self.channels, self.out_channels = channels, out_channels
        if not 0 <= dropout < 1:
            raise ValueError(f"ResNet: dropout has to be from 0 to below 1, not {dropout}")
        self.dropout = dropout
        self.noise: dict[str, Any] | None = None
        if dropout:
            self.noise = {"distribution": "uniform", "channels": blocks * 4 * width, "every": 4}
        bias = biased(norm)
        layers: list[nn.Module] = [_reflected(channels, width, 7, bias), normalisation(norm, width), nn.ReLU()]
        for inputs in (width, 2 * width):
            down = nn.Conv2d(inputs, 2 * inputs, 3, stride=2, padding=1, bias=bias)
            layers += [down, normalisation(norm, 2 * inputs), nn.ReLU()]
        layers += [Block(4 * width, norm) for _ in range(blocks)]
        for inputs in (4 * width, 2 * width):
            up = upsampling(upsample, inputs, inputs // 2, kernel=3, bias=bias)
            layers += [up, normalisation(norm, inputs // 2), nn.ReLU()]
        self.body = nn.Sequential(*layers, _reflected(width, out_channels, 7), nn.Tanh())
        self.apply(initialise)
        self.reach = None if norm == "layer" else _reach(blocks, upsample)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        if self.noise is None:
            return self.body(x)
        if noise is None:
            shape = (len(x), self.noise["channels"], x.shape[-2] // 4, x.shape[-1] // 4)
            noise = torch.rand(shape, device=x.device) * 2 - 1
        blocks = sum(isinstance(layer, Block) for layer in self.body)
        parts = iter(kept(noise, self.dropout, x.dtype).chunk(blocks, dim=1))
        for layer in self.body:
            x = layer(x, next(parts)) if isinstance(layer, Block) else layer(x)
        return x


class Block(nn.Module):
    """R: x + (convolution, norm, ReLU, convolution, norm)(x), without ReLU after the sum (Gross & Wilber 2016)."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        bias = biased(norm)
        self.body = nn.Sequential(
            _reflected(channels, channels, 3, bias),
            normalisation(norm, channels),
            nn.ReLU(),
            _reflected(channels, channels, 3, bias),
            normalisation(norm, channels),
        )

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        inner = self.body[:3](x)
        return x + self.body[3:](inner if kept is None else inner * kept)


def _reach(blocks: int, upsample: str) -> int:
    """Pixels to each side on which one decides, the most that it is for any."""
    worst = 0
    for pixel in range(4):
        low, high = pixel - 3, pixel + 3
        for _ in range(2):
            if upsample == "resize":
                low, high = low - 1, high + 1
            low, high = low // 2, high // 2 if upsample == "resize" else -(-high // 2)
        low, high = low - 2 * blocks, high + 2 * blocks
        for _ in range(2):
            low, high = 2 * low - 1, 2 * high + 1
        worst = max(worst, pixel - (low - 3), high + 3 - pixel)
    return worst


class Mirrored(nn.Conv2d):
    """A convolution that mirrors the border, as Johnson et al. and CycleGAN do: zeros would mark it in the output."""

    def forward(self, x: Tensor) -> Tensor:
        # On a CPU autocast would mirror in float32, there and back, though nothing is computed
        widened = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False) if widened else nullcontext():
            x = nn.functional.pad(x, (self.kernel_size[1] // 2,) * 2 + (self.kernel_size[0] // 2,) * 2, mode="reflect")
        return nn.functional.conv2d(x, self.weight, self.bias)


def _reflected(inputs: int, outputs: int, kernel: int, bias: bool = True) -> Mirrored:
    return Mirrored(inputs, outputs, kernel, padding=kernel // 2, padding_mode="reflect", bias=bias)
