"""Multilayer perceptrons: the networks of the first GAN (Goodfellow et al. 2014) and of WGAN's comparison (2017, section 4.3)."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from translate.gan.networks.blocks import check_choice, check_counts, check_samples

NORMS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "none": nn.Identity}


class MLPGenerator(nn.Module):
    """G: z `[N, latent]` → `[N, *shape]`, through `depth` hidden layers of `width` ReLU units.

    The output is linear, which suits points; with `tanh` it lies in -1..1, as pictures do. Class labels come as one-hot
    vectors beside z, so `latent` counts them too. WGAN's generator: `width` 512, `depth` 4, no norm.
    """

    def __init__(
        self,
        latent: int = 2,
        shape: tuple[int, ...] = (2,),
        width: int = 128,
        depth: int = 3,
        norm: str = "none",
        tanh: bool = False,
    ) -> None:
        super().__init__()
        check_counts("MLPGenerator", latent=latent, width=width, depth=depth, shape=min(shape, default=0))
        check_choice(norm, NORMS, "norm")
        self.latent, self.shape = latent, tuple(shape)
        layers: list[nn.Module] = []
        for inputs in [latent, *[width] * (depth - 1)]:
            layers += [nn.Linear(inputs, width, bias=norm != "batch"), NORMS[norm](width), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Linear(width, math.prod(shape)))
        self.tanh = tanh

    def forward(self, z: Tensor) -> Tensor:
        check_samples(z, (self.latent,), "MLPGenerator: z")
        x = self.body(z).unflatten(1, self.shape)
        return x.tanh() if self.tanh else x


class MLPCritic(nn.Module):
    """D: x `[N, *shape]` → scores `[N]`, linear in the last of `depth` hidden layers of `width` units.

    The units are LeakyReLU with slope `leak`; 0 makes them ReLU, as in WGAN's comparison. The first layer has no norm, which
    would hide the scale of the samples. One-hot labels go beside the samples, so `shape` counts them too.
    """

    energy: ClassVar[bool] = False

    def __init__(
        self,
        shape: tuple[int, ...] = (2,),
        width: int = 128,
        depth: int = 3,
        leak: float = 0.2,
        norm: str = "none",
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        check_counts("MLPCritic", width=width, depth=depth, shape=min(shape, default=0))
        check_choice(norm, NORMS, "norm")
        self.shape, self.sigmoid = tuple(shape), sigmoid
        self.body = _trunk(math.prod(shape), width, depth, leak, norm)
        self.score = nn.Linear(width, 1)

    def features(self, x: Tensor) -> Tensor:
        """`[N, width]`: the last hidden layer."""
        check_samples(x, self.shape, "MLPCritic: x")
        return self.body(x.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        score = self.score(self.features(x)).squeeze(1)
        return torch.sigmoid(score) if self.sigmoid else score


class MLPEncoder(nn.Module):
    """E: x `[N, *shape]` → codes `[N, outputs]`, unbounded: the critic's hidden layers with another end."""

    def __init__(
        self,
        outputs: int = 2,
        shape: tuple[int, ...] = (2,),
        width: int = 128,
        depth: int = 3,
        leak: float = 0.2,
        norm: str = "none",
    ) -> None:
        super().__init__()
        check_counts("MLPEncoder", outputs=outputs, width=width, depth=depth, shape=min(shape, default=0))
        check_choice(norm, NORMS, "norm")
        self.shape = tuple(shape)
        self.body = nn.Sequential(*_trunk(math.prod(shape), width, depth, leak, norm), nn.Linear(width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        check_samples(x, self.shape, "MLPEncoder: x")
        return self.body(x.flatten(1))


def _trunk(inputs: int, width: int, depth: int, leak: float, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(inputs, width), nn.LeakyReLU(leak)]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width, bias=norm != "batch"), NORMS[norm](width), nn.LeakyReLU(leak)]
    return nn.Sequential(*layers)
