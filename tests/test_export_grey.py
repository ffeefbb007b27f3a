"""Grey networks: their files take and give the contract's three channels, at 8 and 16 bits."""

import numpy as np
import pytest
import torch
from torch import nn

from translate.export import export
from translate.gan.networks import ResNet
from translate.runtime.card import LUMINANCE, Card
from translate.runtime.model import Model
from translate.runtime.picture import Picture


def trained(channels: int, out_channels: int) -> ResNet:
    torch.manual_seed(0)
    network = ResNet(channels=channels, out_channels=out_channels, width=4, blocks=1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.2)
    return network


@pytest.fixture(scope="module", params=[(1, 1), (1, 3), (3, 1)], ids=["grey to grey", "grey to RGB", "RGB to grey"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ResNet, Model]:
    network = trained(*request.param)
    card = Card(name="grey", task="test", source="a", target="b", size=32, stride=8, tiling="whole")
    return network, Model.open(export(network, card, tmp_path_factory.mktemp("grey") / "grey.onnx"))


def test_grey_sides_become_three_equal_channels(pair: tuple[ResNet, Model]) -> None:
    network, model = pair
    colour = np.random.default_rng(0).integers(0, 2**16, (16, 24, 3), dtype=np.uint16)
    got = model(Picture(colour)).pixels
    seen = colour @ np.array(LUMINANCE)[:, None] if network.channels == 1 else colour
    x = torch.from_numpy(seen / 65535 * 2 - 1).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        wanted = ((network(x)[0] + 1) / 2 * 65535).permute(1, 2, 0).numpy()
    assert got.shape == (16, 24, 3)
    assert np.abs(got - wanted).max() < 15  # 2e-4 of the range
    assert (np.ptp(got.astype(int), axis=2) == 0).all() == (network.out_channels == 1)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_grey_pictures_come_back_grey_and_keep_their_depth(pair: tuple[ResNet, Model], depth: type) -> None:
    grey = np.random.default_rng(0).integers(0, np.iinfo(depth).max, (20, 30, 1)).astype(depth)
    got, told = (pair[1](Picture(pixels)).pixels for pixels in (grey, np.repeat(grey, 3, axis=2)))
    assert (got.shape, got.dtype) == ((20, 30, 1), depth)
    if pair[0].out_channels == 1:
        assert np.array_equal(np.repeat(got, 3, axis=2), told)
