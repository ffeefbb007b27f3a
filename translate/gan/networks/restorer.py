"""Restorer: a residual U-Net of dense 3×3 convolutions behind a 2× space-to-depth, without any statistics of the picture.

No normalisation layer looks at the picture, so an output pixel depends on a finite neighbourhood (`reach`) and the network
commutes with shifts by multiples of `stride`: tiles that overlap by `reach` equal the whole picture exactly.
"""

from itertools import pairwise

from torch import Tensor, nn

from translate.gan.networks.blocks import Residual


class Restorer(nn.Module):
    """U-Net (Ronneberger et al. 2015) with additive skips that predicts what to add to the picture (Zhang et al. 2017, DnCNN).

    Input and output `[N, 3, H, W]` in -1..1, H and W multiples of `stride`. Level i works at 1/2^(i+1) of the picture's
    side with `width`·2^i channels, but never more than `widest`; `blocks[i]` residual blocks stand on the way down and again
    on the way up, and `blocks[-1]` at the bottom. The deepest levels cost little and see far: what only the surroundings
    tell (that a veil lies over the whole picture, say) is found there.
    """

    def __init__(self, width: int = 32, blocks: tuple[int, ...] = (1, 1, 1, 1, 2), widest: int = 256) -> None:
        super().__init__()
        if width < 1 or widest < width or not blocks or min(blocks) < 0:
            raise ValueError(
                "Restorer needs 1 ≤ width ≤ widest and at least one level of blocks ≥ 0, "
                f"not width={width}, widest={widest}, blocks={blocks}"
            )
        widths = [min(width * 2**level, widest) for level in range(len(blocks))]
        self.stride = 2 ** len(blocks)
        # On each way a 3×3 convolution at level i reaches 2^(i+1) pixels further; head and tail are one each at level 0.
        # Down and up stay within cells of `stride` pixels, of which a pixel at one end sees the other.
        sides = [2 ** (level + 1) for level in range(len(blocks))]
        self.reach = (
            2 * sides[0]
            + sum(2 * count * side * (2 if side < self.stride else 1) for count, side in zip(blocks, sides, strict=True))
            + self.stride
            - 1
        )
        self.head = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, width, 3, padding=1))
        self.encoder = nn.ModuleList(_stack(c, n) for c, n in zip(widths[:-1], blocks[:-1], strict=True))
        self.down = nn.ModuleList(nn.Conv2d(c, below, 2, stride=2) for c, below in pairwise(widths))
        self.bottom = _stack(widths[-1], blocks[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, c, 2, stride=2) for c, below in pairwise(widths))
        self.decoder = nn.ModuleList(_stack(c, n) for c, n in zip(widths[:-1], blocks[:-1], strict=True))
        tail = nn.Conv2d(width, 12, 3, padding=1)
        # Starts as the identity: the first thing it knows is to do no harm.
        nn.init.zeros_(tail.weight)
        nn.init.zeros_(tail.bias)  # type: ignore[arg-type]
        self.tail = nn.Sequential(tail, nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        h = self.head(x)
        skips = []
        for encoder, down in zip(self.encoder, self.down, strict=True):
            h = encoder(h)
            skips.append(h)
            h = down(h)
        h = self.bottom(h)
        for up, decoder, skip in reversed(list(zip(self.up, self.decoder, skips, strict=True))):
            h = decoder(up(h) + skip)
        return x + self.tail(h)


def _stack(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(channels) for _ in range(count)))
