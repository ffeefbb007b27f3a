"""Statistics on tape: a network's own change nothing, given ones are used, and each is what it says."""

import copy

import pytest
import torch
from torch import Tensor, nn

from translate.gan.networks import ResNet, UNet
from translate.gan.networks.blocks import translator_norm
from translate.gan.networks.statistics import on_tape


def lively(network: nn.Module) -> nn.Module:
    """Random weights under which every layer matters."""
    torch.manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0, part.weight[0].numel() ** -0.5)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1, 0.3)
            nn.init.normal_(part.bias, 0, 0.3)
    return network.eval()


NETWORKS = {
    "resnet": lambda: ResNet(width=2, blocks=2),
    "resized": lambda: ResNet(width=2, blocks=1, upsample="resize"),
    "unet": lambda: UNet(width=2, levels=3, norm="instance", dropout=0),
    "by sample": lambda: UNet(width=2, levels=3, norm="batch", dropout=0),
}


CHANNELS = {"resnet": 14 + 4 * 8 + 6, "resized": 14 + 2 * 8 + 6, "unet": 4 + 4 + 2, "by sample": 4 + 4 + 2}


@pytest.mark.parametrize("kind", NETWORKS)
def test_its_own_statistics_change_nothing(kind: str) -> None:
    network, x = lively(NETWORKS[kind]()), torch.randn(2, 3, 24, 40)
    wanted = network(x)
    tape = on_tape(network)
    assert tape is not None
    torch.testing.assert_close(network(x), wanted, atol=1e-5, rtol=1e-4)
    own = torch.cat(tape.own, 1)
    assert own.shape == (2, CHANNELS[kind], 2)
    for k in range(2):
        tape.start(own[k : k + 1], torch.ones(()))
        torch.testing.assert_close(network(x[k : k + 1]), wanted[k : k + 1], atol=1e-5, rtol=1e-4)


def test_given_statistics_are_used_and_own_ones_still_told() -> None:
    norm = nn.Sequential(translator_norm("instance", 3))
    tape, x = on_tape(norm), torch.randn(1, 3, 5, 7) * 2 + 1
    assert tape is not None
    statistics = torch.tensor([[[0.5, 4.0], [-1.0, 0.25], [0.0, 1.0]]])
    tape.start(statistics, torch.ones(()))
    mean, variance = (statistics[..., k, None] for k in (0, 1))
    torch.testing.assert_close(norm(x), (x - mean[..., None]) / (variance[..., None] + 1e-5).sqrt())
    torch.testing.assert_close(tape.own[0][0, :, 0], x[0].mean((1, 2)))
    torch.testing.assert_close(tape.own[0][0, :, 1], x[0].var((1, 2), correction=0))
    tape.start(statistics * float("nan"), torch.zeros(()))
    assert norm(x).isfinite().all()


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_other_norms_are_left_alone(norm: str) -> None:
    network = ResNet(width=2, blocks=1, norm=norm)
    before = copy.deepcopy(network)
    assert on_tape(network) is None
    assert str(network) == str(before)


def test_running_statistics_are_fixed_and_no_matter_of_the_picture() -> None:
    assert on_tape(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))) is None


def test_batch_norm_of_translators_is_the_samples_own_at_test() -> None:
    norm, x = translator_norm("batch", 4), torch.randn(3, 4, 6, 5) * 3 + 2
    lively(norm)
    norm(torch.randn(2, 4, 5, 5))
    alone = torch.cat([norm(x[k : k + 1]) for k in range(3)])
    assert torch.equal(norm(x), alone)
    # With one picture, as pix2pix trains, test is training
    one: Tensor = x[:1]
    torch.testing.assert_close(norm.eval()(one), norm.train()(one))
