"""U-Net: pix2pix's, layer by layer."""

import pytest
import torch
from torch import nn

from translate.gan.networks import UNet

NORMED = (nn.BatchNorm2d, nn.GroupNorm)


def test_pix2pix_at_256_pixels_counted_by_hand() -> None:
    with torch.device("meta"):
        network = UNet()
    assert network.stride == 256
    down = 3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 4 * 512 * 512
    up = 512 * 512 + 3 * 1024 * 512 + 1024 * 256 + 512 * 128 + 256 * 64 + 128 * 3
    norms = 2 * (128 + 256 + 4 * 512) + 2 * (4 * 512 + 256 + 128 + 64)
    assert sum(p.numel() for p in network.parameters()) == 16 * (down + up) + norms + (64 + 512 + 3)


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("levels", [2, 3, 5])
def test_shapes_down_to_a_single_place_at_batch_1(norm: str, levels: int) -> None:
    network = UNet(4, 2, 2, levels, norm)
    for sides in ((1, 1), (1, 3)):
        x = torch.randn(1, 4, sides[0] * network.stride, sides[1] * network.stride)
        y = network(x)
        assert y.shape == (1, 2, *x.shape[2:])
        assert y.abs().max() <= 1


def test_no_norm_at_the_first_layer_the_bottom_and_the_output() -> None:
    network = UNet(width=2, levels=5)
    normed = [any(isinstance(m, NORMED) for m in stage.modules()) for stage in (*network.encoder, *network.decoder)]
    assert normed == [False, True, True, True, False, True, True, True, True, False]


def test_a_single_place_at_the_bottom_is_not_erased() -> None:
    torch.manual_seed(0)
    network = UNet(width=2, levels=3, norm="instance")
    found = []
    network.encoder[-1].register_forward_hook(lambda *call: found.append(call[2]))
    network(torch.randn(1, 3, 8, 8))
    assert found[0].shape == (1, 8, 1, 1)
    assert found[0].any()


@pytest.mark.parametrize(
    ("levels", "wanted", "every"), [(8, {7: 8, 6: 8, 5: 8}, 32), (4, {3: 4, 2: 2, 1: 1}, 2), (3, {2: 2, 1: 1}, 2), (2, {1: 1}, 2)]
)
def test_noise_in_the_first_three_decoder_levels(levels: int, wanted: dict[int, int], every: int) -> None:
    with torch.device("meta"):
        network = UNet(width=1, levels=levels)
    assert network.noisy == wanted
    assert network.noise == {"distribution": "uniform", "channels": sum(wanted.values()), "every": every}
    assert UNet(width=1, levels=levels, dropout=0).noise is None


def test_noise_in_other_decoder_levels() -> None:
    torch.manual_seed(0)
    network = UNet(width=1, levels=4, norm="none", noisy=(3, 2, 9))
    assert network.noisy == {2: 2, 1: 1}
    assert network.noise == {"distribution": "uniform", "channels": 3, "every": 2}
    below: list[bool] = []
    for level, channels in ((1, 4), (2, 2), (3, 1)):
        network.decoder[level].register_forward_pre_hook(lambda _, x, n=channels: below.append(bool(x[0][:, :n].any())))
    network(torch.randn(1, 3, 16, 16), -torch.ones(1, 3, 8, 8))
    assert below == [True, False, False]  # only the deepest level kept its numbers


def test_noise_drops_numbers_and_keeps_their_mean() -> None:
    torch.manual_seed(0)
    network = UNet(width=8, levels=3, dropout=0.25)
    kept = network._kept(torch.zeros(50, 32, 8, 8), None)
    shapes = {k: tuple(part.shape) for k, part in kept.items()}
    assert shapes == {2: (50, 16, 16, 16), 1: (50, 8, 32, 32)}  # the sizes of these levels' outputs
    for part in kept.values():
        assert sorted(part.unique().tolist()) == pytest.approx([0, 1 / 0.75])
        assert part.mean().item() == pytest.approx(1, abs=0.01)


def test_noise_reaches_the_output_in_training_and_at_test() -> None:
    torch.manual_seed(0)
    network, x = UNet(width=4, levels=3, norm="none"), torch.randn(1, 3, 16, 16)
    z, other = torch.rand(2, 1, network.noise["channels"], 8, 8) * 2 - 1  # type: ignore[index]
    for mode in (network.train(), network.eval()):
        assert not torch.equal(mode(x), mode(x))
        assert torch.equal(mode(x, z), mode(x, z))
        assert not torch.equal(mode(x, z), mode(x, other))
    everything = torch.ones_like(z)  # nothing is dropped where z = 1, and nothing kept where it is -1
    without = UNet(width=4, levels=3, norm="none", dropout=0)
    without.load_state_dict(network.state_dict())
    network.dropout = 1e-9
    torch.testing.assert_close(network(x, everything), without(x))


def test_activations_are_the_papers() -> None:
    network = UNet(width=1, levels=4)
    assert all(m.negative_slope == 0.2 for m in network.encoder.modules() if isinstance(m, nn.LeakyReLU))
    assert [type(stage[0]) for stage in network.decoder] == [nn.ReLU] * 4  # type: ignore[index]
    assert [layer.out_channels for layer in network.encoder.modules() if isinstance(layer, nn.Conv2d)] == [1, 2, 4, 8]


def test_reach_of_given_statistics() -> None:
    """Every level doubles it and adds 3."""
    assert [UNet(width=1, levels=levels).reach for levels in (2, 3, 4, 8)] == [9, 21, 45, 765]
    assert UNet(width=1, levels=2, norm="layer").reach is None


def test_refusals() -> None:
    with pytest.raises(ValueError, match="levels"):
        UNet(levels=1)
    with pytest.raises(ValueError, match="dropout"):
        UNet(dropout=1)
    with pytest.raises(ValueError, match="from 1"):
        UNet(noisy=(0, 1))
    with pytest.raises(ValueError, match="norm"):
        UNet(norm="group")


# Mutants tried: a norm at the bottom; dropout on two levels; dropout one level later; channels doubled beyond 8 times the width.
