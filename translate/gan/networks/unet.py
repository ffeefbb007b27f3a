"""U-Net: pix2pix's generator (Isola et al. 2017, section 3.2.1 and appendix 6.1.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from translate.gan.networks import blocks


class UNet(nn.Module):
    """G: pictures `[N, channels, H, W]` → `[N, out_channels, H, W]` in -1..1; H and W multiples of `stride` = 2^levels.

    Encoder C64-C128-C256-C512-… of `levels` 4×4 convolutions of stride 2, never wider than 8·`width`; the decoder mirrors it
    and sees at each level, beside what comes from below, the encoder's output of the same size. No norm after the first
    convolution, and none at the bottom: there a picture of `stride` pixels is a single place, which a norm would erase (the
    paper's errata). The size of the papers' training pictures: 8 levels for 256 px, 7 for 128.

    Where `dropout` > 0, the `noisy` decoder levels, counted from the bottom, drop that share of their numbers: this is the
    noise z of pix2pix and DualGAN, in training and at test alike (Isola et al. 2017, section 3.3). G(x, z) drops where the
    uniform noise z, `[N, noise["channels"], H / noise["every"], W / noise["every"]]` in -1..1, is below 2·dropout − 1; G(x)
    draws z itself.

    `reach` holds where the statistics of norms are given; "layer" has none.
    """

    def __init__(
        self,
        channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        levels: int = 8,
        norm: str = "batch",
        dropout: float = 0.5,
        noisy: Sequence[int] = (1, 2, 3),
    ) -> None:
        super().__init__()
        blocks.check_counts("UNet", channels=channels, out_channels=out_channels, width=width, levels=levels - 1)
        if not 0 <= dropout < 1:
            raise ValueError(f"UNet: dropout has to be from 0 to below 1, not {dropout}")
        if min(noisy, default=1) < 1:
            raise ValueError(f"UNet: noisy levels are counted from 1, the bottom one, not {tuple(noisy)}")
        self.channels, self.out_channels = channels, out_channels
        self.stride = 2**levels
        self.dropout = dropout
        widths = [width * min(8, 2**k) for k in range(levels)]
        bottom, bias = levels - 1, blocks.biased(norm)

        self.encoder = nn.ModuleList([blocks.Halving(channels, width)])
        for k in range(1, levels):
            convolution = blocks.Halving(widths[k - 1], widths[k], bias=bias or k == bottom)
            normed = blocks.translator_norm(norm, widths[k]) if k < bottom else nn.Identity()
            self.encoder.append(nn.Sequential(nn.LeakyReLU(0.2), convolution, normed))

        self.noisy = {levels - n: widths[levels - n - 1] for n in sorted(noisy) if 0 < n < levels} if dropout else {}
        """Channels of z that each level takes, by the number of the level."""
        self.noise = (
            {"distribution": "uniform", "channels": sum(self.noisy.values()), "every": 2 ** min(self.noisy)}
            if self.noisy
            else None
        )

        self.decoder = nn.ModuleList()
        for k in reversed(range(1, levels)):
            inputs = widths[k] if k == bottom else 2 * widths[k]
            doubling = blocks.Doubling(inputs, widths[k - 1], bias=bias)
            self.decoder.append(nn.Sequential(nn.ReLU(), doubling, blocks.translator_norm(norm, widths[k - 1])))
        last = blocks.Doubling(2 * width, out_channels)
        self.decoder.append(nn.Sequential(nn.ReLU(), last, nn.Tanh()))
        self.apply(blocks.initialise)
        self.reach = None if norm == "layer" else _reach(levels)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        skips = []
        for down in self.encoder:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        kept = self._kept(x, noise)
        for k, up in zip(range(len(skips), -1, -1), self.decoder, strict=True):
            x = up(x)
            if k in kept:
                x = x * kept[k]
            if skips:
                x = torch.cat([x, skips.pop()], dim=1)
        return x

    def _kept(self, deepest: Tensor, noise: Tensor | None) -> dict[int, Tensor]:
        """For each noisy level, what its numbers are multiplied by: 0, or 1 / (1 − dropout)."""
        if self.noise is None:
            return {}
        if noise is None:
            every, (height, width) = self.noise["every"], deepest.shape[-2:]
            shape = (len(deepest), self.noise["channels"], height * self.stride // every, width * self.stride // every)
            noise = torch.rand(shape, device=deepest.device) * 2 - 1
        finest = min(self.noisy)
        parts = blocks.kept(noise, self.dropout, deepest.dtype).split(list(self.noisy.values()), dim=1)
        # Coarser levels take every second or fourth place, so that one grid serves all of them.
        return {k: part[..., :: 2 ** (k - finest), :: 2 ** (k - finest)] for k, part in zip(self.noisy, parts, strict=True)}


def _reach(levels: int) -> int:
    """Pixels to each side on which one decides, the most that it is for any."""
    worst = 0
    for pixel in range(2**levels):
        low = high = pixel
        for _ in range(levels):
            low, high = -(-(low - 2) // 2), (high + 1) // 2
        for _ in range(levels):
            low, high = 2 * low - 1, 2 * high + 2
        worst = max(worst, pixel - low, high - pixel)
    return worst
