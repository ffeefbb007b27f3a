"""PatchGAN: a critic that scores patches (Isola et al. 2017, section 3.2.2 and appendix 6.1.2)."""

from typing import ClassVar

from torch import Tensor, nn

from translate.gan.networks import blocks


class PatchGAN(nn.Module):
    """`layers` convolutions of stride 2, then two of stride 1, kernel 4: 5 layers see 286×286 pixels, 3 see 70×70, 2 see 34×34,
    1 sees 16×16. With 0 layers it is the PixelGAN: three 1×1 convolutions, which see single pixels.

    Input `[N, channels, H, W]`, output `[N, 1, H', W']`: one score per patch, without sigmoid. A condition, be it a picture or
    one-hot labels as maps, comes as further channels, which `channels` counts too. The paper's norm is "batch", CycleGAN's
    "instance"; with "none" a constraint of the adversary takes that place. No norm after the first convolution.
    """

    energy: ClassVar[bool] = False

    def __init__(self, channels: int = 6, width: int = 64, layers: int = 3, norm: str = "none") -> None:
        super().__init__()
        blocks.check_counts("PatchGAN", channels=channels, width=width, layers=layers + 1)
        kernel, stride, padding = (4, 2, 1) if layers else (1, 1, 0)
        stages: list[nn.Module] = [nn.Conv2d(channels, width, kernel, stride, padding), nn.LeakyReLU(0.2)]
        last = max(1, layers)
        widths = [width * min(8, 2**k) for k in range(last + 1)]
        for k in range(1, last + 1):
            step = stride if k < last else 1
            stages.append(nn.Conv2d(widths[k - 1], widths[k], kernel, step, padding, bias=blocks.biased(norm)))
            # No place is kept for a missing norm: keys of checkpoints count the places.
            stages += [nn.LeakyReLU(0.2)] if norm == "none" else [blocks.norm(norm, widths[k]), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*stages, nn.Conv2d(widths[-1], 1, kernel, padding=padding))
        if norm != "none":
            # Without a norm the paper's N(0, 0.02) would let the signal fade from layer to layer.
            self.apply(blocks.initialise)

    def forward(self, picture: Tensor) -> Tensor:
        return self.body(picture)
