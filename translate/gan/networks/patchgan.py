"""PatchGAN: a critic that scores patches (Isola et al. 2017, section 3.2.2)."""

from torch import Tensor, nn


class PatchGAN(nn.Module):
    """`layers` convolutions of stride 2, then two of stride 1, kernel 4: 3 layers see 70×70 pixels, 2 see 34×34, 1 sees 16×16.

    Input `[N, channels, H, W]`, output `[N, 1, H', W']`: one score per patch, without sigmoid. No normalisation layer: the
    constraint of the adversary takes that place.
    """

    def __init__(self, channels: int = 6, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        stages: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        widths = [width * min(8, 2**k) for k in range(layers + 1)]
        for k in range(1, layers + 1):
            stride = 2 if k < layers else 1
            stages += [nn.Conv2d(widths[k - 1], widths[k], 4, stride=stride, padding=1), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*stages, nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, picture: Tensor) -> Tensor:
        return self.body(picture)
