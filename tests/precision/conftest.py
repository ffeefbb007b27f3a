"""Translators with convolutions of random weights, made with the onnx package alone, and pictures to calibrate on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from tests.tiny_models import Graph, to_bytes, with_stages
from translate.runtime.card import Card


class Network(Graph):
    """Convolutions of 3×3, each with edge padding."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def convolution(self, planes: str, taken: int, given: int, gain: float = 1.0) -> str:
        weight = self.rng.normal(0, gain / np.sqrt(9 * taken), (given, taken, 3, 3))
        padded = self.add("Pad", planes, self.constant([0, 0, 1, 1] * 2), mode="edge")
        return self.add("Conv", padded, self.constant(weight, np.float32), self.constant(np.zeros(given), np.float32))


def restorer() -> bytes:
    """Residual blocks, whose errors differ as their gains do; what they make is added to the picture."""
    graph = Network()
    image = graph.add("Transpose", "image", perm=[0, 3, 1, 2])
    planes = graph.convolution(image, 3, 8)
    for gain in (1.0, 0.3, 0.1):
        branch = graph.add("Relu", graph.convolution(planes, 8, 8))
        planes = graph.add("Add", planes, graph.convolution(branch, 8, 8, gain))
    made = graph.add("Add", image, graph.convolution(planes, 8, 3, 0.5))
    graph.add("Transpose", made, perm=[0, 2, 3, 1], output="translated")
    return to_bytes(graph, [("image", 3)], card("restorer", reach=8, tiling="exact").model_dump_json())


def settler(loudness: float = 5000) -> bytes:
    """Norms that see numbers of some thousands, squares of which are beyond float16."""
    graph = Network()
    planes = graph.add("Transpose", "image", perm=[0, 3, 1, 2])
    owns = []
    for place, gain in ((0, loudness), (3, 1), (6, 1)):
        planes, own = graph.normed(graph.convolution(planes, 3, 3, gain), place)
        owns.append(own)
        planes = graph.add("Relu", planes)
    graph.add("Concat", *owns, axis=1, output="own")
    planes = graph.add("Mul", graph.convolution(planes, 3, 3), graph.constant(0.3, np.float32))
    graph.add("Transpose", planes, perm=[0, 2, 3, 1], output="translated")
    told = card("settler", reach=4, tiling="statistics")
    return with_stages(to_bytes(graph, [("image", 3), ("statistics", 9), ("given", 0)], told.model_dump_json()), told)


def card(name: str, **changes: object) -> Card:
    told = {"name": name, "task": "test", "source": "pictures", "target": "pictures", "size": 32, "metrics": {"psnr": 30.0}}
    return Card.model_validate(told | changes)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("float32")
    for make in (restorer, settler):
        (folder / f"{make.__name__}.onnx").write_bytes(make())
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="session")
def cuttings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of photographs: eight, of which two are held out."""
    folder = tmp_path_factory.mktemp("cuttings")
    for index, pixels in enumerate((data.astronaut(), data.coffee(), data.chelsea(), data.rocket()) * 2):
        top = 40 + 60 * (index // 4)
        Image.fromarray(np.ascontiguousarray(pixels[top : top + 64, top : top + 80])).save(folder / f"{index}.png")
    return folder
