"""Networks with the reference PyTorch implementation's state-dict names, written for these tests from its documented layers.

The reference keeps its normalisation in training mode at test; so do these until `eval()`.
"""

import torch
from torch import Tensor, nn


class Sum(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Level(nn.Module):
    """One level of the U-Net with everything below it; hands on its input beside what it makes of it, but for the outermost."""

    def __init__(self, *layers: nn.Module, outermost: bool = False) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)
        self.outermost = outermost

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], dim=1)


class Net(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def normed(kind: str, channels: int) -> nn.Module:
    return {"batch": nn.BatchNorm2d(channels), "instance": nn.InstanceNorm2d(channels), "none": nn.Identity()}[kind]


def resnet(blocks: int, norm: str, width: int = 4, dropout: bool = False, channels: int = 3, out_channels: int = 3) -> Net:
    bias = norm == "instance"

    def mirrored(inputs: int, outputs: int, kernel: int, bias: bool = bias) -> list[nn.Module]:
        return [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel, bias=bias)]

    def block(size: int) -> Sum:
        between = [normed(norm, size), nn.ReLU(), *([nn.Dropout(0.5)] if dropout else [])]
        return Sum(*mirrored(size, size, 3), *between, *mirrored(size, size, 3), normed(norm, size))

    layers = [*mirrored(channels, width, 7), normed(norm, width), nn.ReLU()]
    for size in (width, 2 * width):
        layers += [nn.Conv2d(size, 2 * size, 3, 2, 1, bias=bias), normed(norm, 2 * size), nn.ReLU()]
    layers += [block(4 * width) for _ in range(blocks)]
    for size in (4 * width, 2 * width):
        up = nn.ConvTranspose2d(size, size // 2, 3, 2, 1, output_padding=1, bias=bias)
        layers += [up, normed(norm, size // 2), nn.ReLU()]
    return Net(nn.Sequential(*layers, *mirrored(width, out_channels, 7, bias=True), nn.Tanh()))


def unet(levels: int, norm: str, width: int = 2, dropout: bool = False, channels: int = 3, out_channels: int = 3) -> Net:
    bias, sizes = norm == "instance", [width * min(8, 2**k) for k in range(levels)]

    def up(inputs: int, outputs: int, bias: bool = bias) -> list[nn.Module]:
        return [nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias)]

    def down(k: int) -> list[nn.Module]:
        return [nn.LeakyReLU(0.2), nn.Conv2d(sizes[k - 1], sizes[k], 4, 2, 1, bias=bias)]

    k = levels - 1
    level = Level(*down(k), *up(sizes[k], sizes[k - 1]), normed(norm, sizes[k - 1]))
    for k in range(levels - 2, 0, -1):
        noisy = [nn.Dropout(0.5)] if dropout and k >= 4 else []
        level = Level(
            *down(k), normed(norm, sizes[k]), level, *up(2 * sizes[k], sizes[k - 1]), normed(norm, sizes[k - 1]), *noisy
        )
    first = nn.Conv2d(channels, width, 4, 2, 1, bias=bias)
    return Net(Level(first, level, *up(2 * width, out_channels, bias=True), nn.Tanh(), outermost=True))


def patchgan(norm: str, channels: int = 3, width: int = 4) -> Net:
    bias, layers = norm == "instance", [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for inputs, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
        convolution = nn.Conv2d(inputs, 2 * inputs, 4, stride, 1, bias=bias)
        layers += [convolution, normed(norm, 2 * inputs), nn.LeakyReLU(0.2)]
    return Net(nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1)))


def restless(network: Net, seed: int = 0) -> Net:
    """With random weights, scales, shifts and running statistics, strong enough to be seen at the output."""
    generator = torch.Generator().manual_seed(seed)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            inputs = part.weight[0].numel() if isinstance(part, nn.Conv2d) else part.weight.shape[0] * 4
            part.weight.data = torch.randn(part.weight.shape, generator=generator) * (1 / inputs) ** 0.5
            if part.bias is not None:
                part.bias.data = torch.randn(part.bias.shape, generator=generator) * 0.1
        elif isinstance(part, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                spread = torch.rand(part.num_features, generator=generator)
                getattr(part, name).data = spread + 0.5 if name in ("weight", "running_var") else spread - 0.5
    return network
