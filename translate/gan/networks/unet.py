"""U-Net: pix2pix's generator (Isola et al. 2017, section 3.2.1 and appendix 6.1.1)."""

import torch
from torch import Tensor, nn

from translate.gan.networks import blocks


class UNet(nn.Module):
    """G: pictures `[N, channels, H, W]` → `[N, out_channels, H, W]` in -1..1; H and W multiples of `stride` = 2^levels.

    Encoder C64-C128-C256-C512-… of `levels` 4×4 convolutions of stride 2, never wider than 8·`width`; the decoder mirrors it
    and sees at each level, beside what comes from below, the encoder's output of the same size. No norm after the first
    convolution, and none at the bottom: there a picture of `stride` pixels is a single place, which a norm would erase (the
    paper's errata). The size of the papers' training pictures: 8 levels for 256 px, 7 for 128.

    `dropout` acts on the first three decoder levels as dropout does, in `train` mode. In pix2pix and DualGAN it is the noise z
    and so stays on at test: whoever wants that has to leave these layers in `train` mode.

    There is no `reach`: 8 levels see a whole picture, and a norm by the sample has no bounds at all.
    """

    def __init__(
        self,
        channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        levels: int = 8,
        norm: str = "batch",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        blocks.check_counts("UNet", channels=channels, out_channels=out_channels, width=width, levels=levels - 1)
        if not 0 <= dropout < 1:
            raise ValueError(f"UNet: dropout has to be from 0 to below 1, not {dropout}")
        self.stride = 2**levels
        widths = [width * min(8, 2**k) for k in range(levels)]
        bottom, bias = levels - 1, blocks.biased(norm)

        self.encoder = nn.ModuleList([nn.Conv2d(channels, width, 4, stride=2, padding=1)])
        for k in range(1, levels):
            convolution = nn.Conv2d(widths[k - 1], widths[k], 4, stride=2, padding=1, bias=bias or k == bottom)
            normed = blocks.norm(norm, widths[k]) if k < bottom else nn.Identity()
            self.encoder.append(nn.Sequential(nn.LeakyReLU(0.2), convolution, normed))

        self.decoder = nn.ModuleList()
        for k in reversed(range(1, levels)):
            inputs = widths[k] if k == bottom else 2 * widths[k]
            doubling = nn.ConvTranspose2d(inputs, widths[k - 1], 4, stride=2, padding=1, bias=bias)
            dropped = nn.Dropout(dropout) if k > bottom - 3 else nn.Identity()
            self.decoder.append(nn.Sequential(nn.ReLU(), doubling, blocks.norm(norm, widths[k - 1]), dropped))
        last = nn.ConvTranspose2d(2 * width, out_channels, 4, stride=2, padding=1)
        self.decoder.append(nn.Sequential(nn.ReLU(), last, nn.Tanh()))
        self.apply(blocks.initialise)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.encoder:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in self.decoder:
            x = up(x)
            if skips:
                x = torch.cat([x, skips.pop()], dim=1)
        return x
