"""ResNet generator: CycleGAN's (Zhu et al. 2017, appendix 7.2), after Johnson et al. (2016)."""

from torch import Tensor, nn

from translate.gan.networks.blocks import biased, check_counts, initialise, upsampling
from translate.gan.networks.blocks import norm as normalisation


class ResNet(nn.Module):
    """G: pictures `[N, channels, H, W]` → `[N, out_channels, H, W]` in -1..1; H and W multiples of 4, at
    least 8: `stride` is 8, to which pictures are padded (of a single place at the bottom a norm would leave nothing).

        c7s1-64, d128, d256, R256 × `blocks`, u128, u64, c7s1-3        (9 blocks at 256 px, 6 at 128)

    `upsample` "transposed" is CycleGAN's u: kernel 3, stride 2, which covers pixels unevenly; "resize" covers them alike.
    There is no `reach`: "instance" normalises with statistics of the whole picture, so no finite neighbourhood decides.
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
    ) -> None:
        super().__init__()
        check_counts("ResNet", channels=channels, out_channels=out_channels, width=width, blocks=blocks)
        self.channels, self.out_channels = channels, out_channels
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

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


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

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _reflected(inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Conv2d:
    # Johnson et al. and CycleGAN mirror the border, which zeros would mark in the output.
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="reflect", bias=bias)
