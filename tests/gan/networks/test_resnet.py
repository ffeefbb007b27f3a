"""ResNet: CycleGAN's generators, layer by layer."""

import pytest
import torch
from torch import Tensor, nn

from translate.gan.networks import ResNet


@pytest.mark.parametrize("blocks", [6, 9])
def test_cyclegans_generators_counted_by_hand(blocks: int) -> None:
    with torch.device("meta"):
        network = ResNet(blocks=blocks)
    ends = 49 * (3 * 64 + 64 * 3) + 3
    middle = 9 * (64 * 128 + 128 * 256 + 256 * 128 + 128 * 64)
    assert sum(p.numel() for p in network.parameters()) == ends + middle + blocks * 2 * 9 * 256 * 256


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_shapes(norm: str, upsample: str) -> None:
    network = ResNet(4, 2, 2, 1, norm, upsample)
    y = network(torch.randn(1, 4, 8, 20))
    assert y.shape == (1, 2, 8, 20)
    assert y.abs().max() <= 1


def test_a_norm_after_every_convolution_but_the_last() -> None:
    network = ResNet(width=2, blocks=2)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len([m for m in network.modules() if isinstance(m, nn.GroupNorm)]) == len(convolutions) - 1
    assert isinstance(network.body[-2], nn.Conv2d)
    assert isinstance(network.body[-1], nn.Tanh)


def test_a_block_adds_to_what_it_sees() -> None:
    block = ResNet(width=2, blocks=1, norm="none").body[9]
    for p in block.parameters():
        nn.init.zeros_(p)
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(block(x), x)


def test_the_border_is_mirrored() -> None:
    """Zeros at the border would mark a flat picture."""
    torch.manual_seed(0)
    network = ResNet(width=4, blocks=2, norm="none", upsample="resize")
    for m in network.modules():
        if isinstance(m, nn.Conv2d):
            m.weight.data.mul_(10)
            if m.stride == (2, 2):
                m.padding_mode, m.padding = "zeros", (0, 0)  # CycleGAN's d128 and d256 do pad with zeros: leave them out
    pictures = [network.body[:3], *network.body[9:11]]
    for part, channels in zip(pictures, (3, 16, 16), strict=True):
        y = part(torch.ones(1, channels, 8, 8))
        assert torch.allclose(y, y[:, :, :1, :1].expand_as(y), atol=1e-5)
        assert y.any()


@pytest.mark.parametrize(("upsample", "even"), [("transposed", False), ("resize", True)])
def test_checkerboards_of_the_way_up(upsample: str, even: bool) -> None:
    """A flat state behind the blocks, no norm: CycleGAN's transposed convolutions leave a pattern, resizing none."""
    torch.manual_seed(0)
    up = ResNet(width=4, blocks=1, norm="none", upsample=upsample).body[10:]
    for p in up.parameters():
        p.data.mul_(20)
    inside = up(torch.ones(1, 16, 8, 8))[0, 0, 8:-8, 8:-8]
    assert torch.allclose(inside, inside[0, 0], atol=1e-5) == even


def test_dropout_is_noise_between_the_convolutions_of_each_block() -> None:
    torch.manual_seed(0)
    network, x = ResNet(width=2, blocks=2, norm="none", dropout=0.25), torch.randn(1, 3, 8, 16)
    assert network.noise == {"distribution": "uniform", "channels": 16, "every": 4}
    assert ResNet(width=2, blocks=2).noise is None
    before: list[Tensor] = []
    after: list[Tensor] = []
    for block in network.body[9:11]:
        block.body[2].register_forward_hook(lambda *call: before.append(call[2]))
        block.body[3].register_forward_pre_hook(lambda _, inputs: after.append(inputs[0]))
    z = torch.ones(1, 16, 2, 4)
    z[:, :8] = -1  # the first block drops everything
    network(x, z)
    assert before[0].any()
    assert not after[0].any()
    torch.testing.assert_close(after[1], before[1] / 0.75)
    assert not torch.equal(network(x), network(x))


def test_reach_of_given_statistics() -> None:
    """In pixels: 3 and 3 of the 7×7 ends, 2 of the d's, 2 and 4 of the u's at most, 8 for each block, and rounding."""
    assert [ResNet(width=1, blocks=blocks).reach for blocks in (1, 6, 9)] == [20, 60, 84]
    assert ResNet(width=1, blocks=1, norm="layer").reach is None


def test_refusals() -> None:
    with pytest.raises(ValueError, match="blocks"):
        ResNet(blocks=0)
    with pytest.raises(ValueError, match="norm"):
        ResNet(norm="group")
    with pytest.raises(ValueError, match="dropout"):
        ResNet(width=1, dropout=1)
    with pytest.raises(ValueError, match="upsample"):
        ResNet(width=1, upsample="bilinear")


# Mutants tried: no addition in a block; zeros at the border; kernel 4 on the way up.
