"""Autoencoder critic: how badly a sample is rebuilt is its energy (Zhao et al. 2017, EBGAN, section 2.3)."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from translate.gan.networks import blocks


class AutoencoderCritic(nn.Module):
    """D: x `[N, *shape]` → energies `[N]` ≥ 0, low for samples that look like the data.

        D(x) = ‖Dec(Enc(x)) − x‖² / (number of values in x)

    The paper's eq. 4 is the norm itself. Its mean square has a gradient at 0 and does not grow with the picture: a margin of m
    there is m² / (number of values) here, such as MNIST's 10 → 0.098 at 32×32.

    `shape` is `(channels, size, size)`, halved by strided convolutions from `width` channels on, or `(dimensions,)` for points,
    which go through two hidden layers of `width`. The output is linear, so that no margin is out of reach of the energy.
    A label given as further channels is rebuilt with the rest and counts as such in the mean.
    """

    energy: ClassVar[bool] = True

    def __init__(self, shape: tuple[int, ...] = (1, 16, 16), width: int = 64, code: int = 32, norm: str = "none") -> None:
        super().__init__()
        blocks.check_counts("AutoencoderCritic", width=width, code=code, shape=min(shape, default=0))
        self.shape = tuple(shape)
        if len(shape) == 3 and shape[1] == shape[2]:
            self.encoder, self.decoder = _convolutional(shape[0], shape[1], width, code, norm)
        elif len(shape) == 1 and norm == "none":
            self.encoder, self.decoder = (_points(*ends, width) for ends in ((shape[0], code), (code, shape[0])))
        else:
            raise ValueError(
                "AutoencoderCritic: shape has to be (channels, size, size), or (dimensions,) with norm 'none', "
                f"not {self.shape} with norm {norm!r}"
            )

    def encode(self, x: Tensor) -> Tensor:
        """`[N, code]`, for the pulling-away term (eq. 6)."""
        blocks.check_samples(x, self.shape, "AutoencoderCritic: x")
        return self.encoder(x)

    def reconstruct(self, x: Tensor) -> Tensor:
        """`[N, *shape]`."""
        return self.decoder(self.encode(x))

    def forward(self, x: Tensor) -> Tensor:
        return (self.reconstruct(x) - x).square().flatten(1).mean(1)


def _points(inputs: int, outputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, outputs)
    )


def _convolutional(channels: int, size: int, width: int, code: int, norm: str) -> tuple[nn.Sequential, nn.Sequential]:
    times, end = blocks.halvings(size)
    widths = [width * 2**k for k in range(times)]
    last = (widths[-1], end, end)
    bias = blocks.biased(norm)

    def stage(inputs: int, outputs: int, convolution: Callable[..., nn.Module]) -> list[nn.Module]:
        layer = convolution(inputs, outputs, 4, stride=2, padding=1, bias=bias)
        return [layer, blocks.norm(norm, outputs), nn.LeakyReLU(0.2)]

    down: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    up: list[nn.Module] = [nn.Linear(code, math.prod(last)), nn.Unflatten(1, last), nn.LeakyReLU(0.2)]
    for inputs, outputs in pairwise(widths):
        down += stage(inputs, outputs, nn.Conv2d)
    for inputs, outputs in pairwise(reversed(widths)):
        up += stage(inputs, outputs, nn.ConvTranspose2d)
    down += [nn.Flatten(), nn.Linear(math.prod(last), code)]
    up += [nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1)]
    return nn.Sequential(*down), nn.Sequential(*up)
