"""DCGAN: convolutional generator and critic (Radford et al. 2016, section 3 and fig. 1).

No pooling: strided convolutions. No fully connected hidden layers. A norm everywhere but at G's output and D's input. ReLU in
G, tanh at its end, LeakyReLU 0.2 in D. Weights start from N(0, 0.02).
"""

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from translate.gan.networks import blocks


class DCGANGenerator(nn.Module):
    """G: z `[N, latent]` → pictures `[N, channels, size, size]` in -1..1.

    z becomes 4×4 places, or 5 to 7 where the `size` asks for it (28 = 7·2·2), and is doubled up to `size`; the last hidden
    layer has `width` channels, each one before it twice as many (the paper: 128 at 64 px). One-hot class labels come beside z,
    so `latent` counts them too. `upsample` "resize" avoids what "transposed" risks: checkerboards. With `hidden` there is a
    fully connected layer of so many units between z and the first places, as InfoGAN's G has (1024: Chen et al. 2016, C.1).
    """

    def __init__(
        self,
        latent: int = 100,
        channels: int = 1,
        size: int = 16,
        width: int = 64,
        norm: str = "batch",
        upsample: str = "transposed",
        hidden: int = 0,
    ) -> None:
        super().__init__()
        blocks.check_counts("DCGANGenerator", latent=latent, channels=channels, width=width)
        self.latent = latent
        times, start = blocks.halvings(size)
        widths = [width * 2**k for k in reversed(range(times))]
        bias = blocks.biased(norm)
        layers: list[nn.Module] = []
        if hidden:
            layers += [*_connected(latent, hidden, norm), nn.ReLU(), nn.Flatten()]
        places = nn.Linear(hidden or latent, widths[0] * start * start, bias=bias)
        layers += [places, nn.Unflatten(1, (widths[0], start, start)), blocks.norm(norm, widths[0]), nn.ReLU()]
        for inputs, outputs in pairwise(widths):
            layers += [blocks.upsampling(upsample, inputs, outputs, bias=bias), blocks.norm(norm, outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers, blocks.upsampling(upsample, width, channels), nn.Tanh())
        self.apply(blocks.initialise)

    def forward(self, z: Tensor) -> Tensor:
        blocks.check_samples(z, (self.latent,), "DCGANGenerator: z")
        return self.body(z)


class DCGANCritic(nn.Module):
    """D: pictures `[N, channels, size, size]` → scores `[N]`, linear in the last hidden layer.

    Halves `size` down to 4 to 7 places, from `width` channels with twice as many each time. Under a penalty on single
    samples' gradients `norm` must not be "batch", which mixes samples (Gulrajani et al. 2017, section 4: "layer"). One-hot
    class labels come as constant maps beside the picture, so `channels` counts them too. With `hidden` a fully connected layer
    of so many units is the last hidden one, as in InfoGAN (1024: Chen et al. 2016, C.1).

    Of pairs, the first `codes` channels are a code's constant maps. Its numbers skip the convolutions, which they would drown,
    and meet the picture's features in the hidden layer, as in BiGAN (Donahue et al. 2017, section 4).
    """

    energy: ClassVar[bool] = False

    def __init__(
        self,
        channels: int = 1,
        size: int = 16,
        width: int = 64,
        norm: str = "batch",
        sigmoid: bool = False,
        hidden: int = 0,
        codes: int = 0,
    ) -> None:
        super().__init__()
        blocks.check_counts("DCGANCritic", channels=channels, width=width)
        if codes and not (hidden and 0 < codes < channels):
            raise ValueError(
                f"DCGANCritic: {codes} codes need a hidden layer and more channels than {channels}, the picture's own"
            )
        self.shape, self.sigmoid, self.codes = (channels, size, size), sigmoid, codes
        self.body, features = _trunk(channels - codes, size, width, norm)
        self.hidden: nn.Module = nn.Identity()
        if hidden:
            self.hidden = nn.Sequential(*_connected(features + codes, hidden, norm), nn.LeakyReLU(0.2), nn.Flatten())
        self.score = nn.Linear(hidden or features, 1)
        self.apply(blocks.initialise)

    def features(self, x: Tensor) -> Tensor:
        """`[N, F]`: the last hidden layer, flattened."""
        blocks.check_samples(x, self.shape, "DCGANCritic: x")
        picture = self.body(x[:, self.codes :]).flatten(1)
        return self.hidden(torch.cat([picture, x[:, : self.codes, 0, 0]], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        score = self.score(self.features(x)).squeeze(1)
        return torch.sigmoid(score) if self.sigmoid else score


class DCGANEncoder(nn.Module):
    """E: pictures `[N, channels, size, size]` → codes `[N, outputs]`, unbounded: the critic's layers with another end."""

    def __init__(self, outputs: int = 100, channels: int = 1, size: int = 16, width: int = 64, norm: str = "batch") -> None:
        super().__init__()
        blocks.check_counts("DCGANEncoder", outputs=outputs, channels=channels, width=width)
        self.shape = (channels, size, size)
        trunk, features = _trunk(channels, size, width, norm)
        self.body = nn.Sequential(*trunk, nn.Flatten(), nn.Linear(features, outputs))
        self.apply(blocks.initialise)

    def forward(self, x: Tensor) -> Tensor:
        blocks.check_samples(x, self.shape, "DCGANEncoder: x")
        return self.body(x)


def _trunk(channels: int, size: int, width: int, norm: str) -> tuple[nn.Sequential, int]:
    """The convolutions, and how many numbers come of them."""
    times, end = blocks.halvings(size)
    widths = [width * 2**k for k in range(times)]
    bias = blocks.biased(norm)
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for inputs, outputs in pairwise(widths):
        convolution = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)
        layers += [convolution, blocks.norm(norm, outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers), widths[-1] * end * end


def _connected(inputs: int, units: int, norm: str) -> list[nn.Module]:
    """A fully connected layer with its norm; the units become channels of one place."""
    if norm == "instance":
        raise ValueError('norm = "instance" makes zeros of hidden units, which have one place each; leave hidden = 0')
    linear = nn.Linear(inputs, units, bias=blocks.biased(norm))
    return [linear, nn.Unflatten(1, (units, 1, 1)), blocks.norm(norm, units)]
