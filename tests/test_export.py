"""Export: the gate opens for what agrees, and nothing is written for what does not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import translate
from translate.export import ExportError, check_reach, export
from translate.gan.networks import Restorer
from translate.modelcard import markdown
from translate.runtime.card import Card


def card(**changes: object) -> Card:
    base = {"name": "tiny", "task": "test", "source": "pictures", "target": "pictures", "size": 32}
    return Card(**base | changes)  # type: ignore[arg-type]


def restless(width: int = 4, blocks: tuple[int, ...] = (1, 1)) -> Restorer:
    """A restorer with random weights everywhere, for a fresh one is the identity."""
    torch.manual_seed(0)
    network = Restorer(width, blocks)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.15)
    return network


def test_torch_onnx_runtime_and_the_loaded_model_agree(tmp_path: Path) -> None:
    network = restless()
    described = card(reach=network.reach, stride=network.stride, tiling="exact", metrics={"psnr": 30.5}, data=["somewhere"])
    path = export(network, described, tmp_path / "deep" / "tiny.onnx")
    model = translate.load(path)
    assert model.card == described
    pixels = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        y = network(nn.functional.pad(x, (0, 1, 0, 3), mode="replicate"))[0, :, :37, :51]
    wanted = ((y.clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).numpy()
    from PIL import Image

    from translate.runtime.picture import Picture

    got = model(Picture.from_pil(Image.fromarray(pixels))).pixels
    assert np.abs(got - wanted).max() <= 0.51
    assert [file.name for file in path.parent.iterdir()] == ["tiny.onnx"]


class Odd(nn.Module):
    """Does something else at each size once it is traced: Python's branch is frozen into the graph."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 if x.shape[-1] % 2 == 0 else -1)


class Moody(nn.Module):
    """Normalises with statistics of the whole picture, so no finite reach is true of it."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=(2, 3), keepdim=True)


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * float("nan")


@pytest.mark.parametrize("network", [Odd(), Broken()], ids=["depends on the size", "not finite"])
def test_nothing_is_written_when_the_gate_refuses(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ExportError):
        export(network, card(), tmp_path / "new" / "tiny.onnx")
    assert not list(tmp_path.iterdir())


def test_a_card_that_lies_about_reach_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="reach"):
        export(Moody(), card(reach=8, stride=4, tiling="exact"), tmp_path / "tiny.onnx")
    assert not list(tmp_path.iterdir())


def test_a_card_that_lies_about_stride_is_refused() -> None:
    network = restless()
    with pytest.raises(ExportError, match=r"shifts|reach"):
        check_reach(nn.Sequential(nn.AvgPool2d(4), nn.Upsample(scale_factor=4)), reach=8, stride=2)
    check_reach(network, network.reach, network.stride)


def test_the_card_for_people_is_generated() -> None:
    text = markdown(card(metrics={"old/psnr": 29.123}, data=["photographs: taken by somebody"], licence="CC0", tiling="whole"))
    head = text.split("---")[1]
    assert 'pipeline_tag: "image-to-image"' in head
    assert 'library_name: "onnx"' in head
    assert "| old/psnr | 29.12 |" in text
    assert "CC0" in text


@pytest.mark.parametrize(("tiling", "words"), [("exact", "overlap by 20"), ("statistics", "`given` = 1"), ("whole", "one piece")])
def test_the_card_for_people_tells_how_pictures_are_cut(tiling: str, words: str) -> None:
    assert words in markdown(card(tiling=tiling, reach=20, stride=8))
