"""Exported translators of random weights, and pictures to calibrate on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from torch import nn

from tests.gan.networks.test_statistics import lively
from tests.test_export import restless
from tests.test_export_statistics import card
from translate.export import export
from translate.gan.networks import ResNet, UNet


def loud() -> nn.Module:
    """A ResNet whose first norm sees numbers of some thousands: squares of them are beyond float16."""
    network = lively(ResNet(width=8, blocks=1))
    next(part for part in network.modules() if isinstance(part, nn.Conv2d)).weight.data *= 3000
    return network


NETWORKS = {
    "restorer": lambda: restless(8, (1, 1)),
    "resnet": loud,
    "unet": lambda: lively(UNet(width=4, levels=3, norm="batch", noisy=(1,))),
}


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("float32")
    made = {name: make() for name, make in NETWORKS.items()}
    return {
        name: export(network, card(network, metrics={"psnr": 30.0}), folder / f"{name}.onnx") for name, network in made.items()
    }


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight, of which two are held out."""
    folder = tmp_path_factory.mktemp("photographs")
    for index, pixels in enumerate((data.astronaut(), data.coffee(), data.chelsea(), data.rocket()) * 2):
        top = 40 + 60 * (index // 4)
        Image.fromarray(np.ascontiguousarray(pixels[top : top + 64, top : top + 80])).save(folder / f"{index}.png")
    return folder
