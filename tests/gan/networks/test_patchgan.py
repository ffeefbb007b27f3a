"""PatchGAN: the paper's receptive fields, and the critic of the shipped recipes as it was."""

import pytest
import torch
from torch import nn

from translate.gan.networks import PatchGAN


@pytest.mark.parametrize(("layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70), (5, 286)])
def test_receptive_field_is_the_papers(layers: int, field: int) -> None:
    """With positive weights nothing cancels, so the gradient's support is the receptive field: one full square."""
    critic = PatchGAN(channels=1, width=1, layers=layers)
    for parameter in critic.parameters():
        torch.nn.init.constant_(parameter, 0.25 if parameter.dim() == 4 else 0)
    x = torch.rand(1, 1, field + 100, field + 100, requires_grad=True)
    scores = critic(x)
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], x)
    seen = gradient[0, 0].nonzero()
    assert len(seen) == field**2
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [field, field]


def test_the_critic_of_the_shipped_recipes_is_as_it_was() -> None:
    torch.manual_seed(3)
    critic = PatchGAN(6, 4, 3)
    torch.manual_seed(3)
    reference = nn.Sequential(
        nn.Conv2d(6, 4, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4, 8, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 16, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(16, 32, 4, stride=1, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 1, 4, padding=1),
    )
    assert [key.removeprefix("body.") for key in critic.state_dict()] == list(reference.state_dict())
    x = torch.randn(1, 6, 32, 32)
    assert torch.equal(critic(x), reference(x))


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_every_norm_after_all_but_the_first_and_the_last_convolution(norm: str, layers: int) -> None:
    critic = PatchGAN(3, 2, layers, norm)
    side = 32 if layers == 0 else 32 // 2**layers - 2
    assert critic(torch.randn(1, 3, 32, 32)).shape == (1, 1, side, side)
    assert [type(layer) for layer in critic.body[:3]] == [nn.Conv2d, nn.LeakyReLU, nn.Conv2d]
    normed = [layer for layer in critic.modules() if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm)]
    assert len(normed) == (max(1, layers) if norm != "none" else 0)


def test_pix2pix_critic_counted_by_hand() -> None:
    with torch.device("meta"):
        critic = PatchGAN(norm="batch")
    kernels = 16 * (6 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512)
    assert sum(p.numel() for p in critic.parameters()) == kernels + 64 + 2 * (128 + 256 + 512) + 1


def test_pixelgan_is_c64_c128() -> None:
    with torch.device("meta"):
        critic = PatchGAN(layers=0)
    assert [(m.out_channels, m.kernel_size) for m in critic.body if isinstance(m, nn.Conv2d)] == [
        (64, (1, 1)),
        (128, (1, 1)),
        (1, (1, 1)),
    ]


def test_refusals() -> None:
    with pytest.raises(ValueError, match="layers"):
        PatchGAN(layers=-1)
    with pytest.raises(ValueError, match="norm"):
        PatchGAN(norm="group")


# Mutants tried: stride 2 in the last but one convolution; 4×4 kernels in the PixelGAN; an Identity in the place of a
#   missing norm; N(0, 0.02) without a norm.
