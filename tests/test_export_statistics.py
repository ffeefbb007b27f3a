"""Networks that normalise with statistics of the picture: exported with both, gated for both, and tiles equal the whole."""

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from tests.gan.networks.test_statistics import lively
from tests.runtime.pictures import random_picture
from translate import stages
from translate.export import SIZES, ExportError, Translator, check_parity, check_reach, export, tiling
from translate.gan.networks import ResNet, UNet
from translate.gan.networks.statistics import on_tape
from translate.runtime import tiles
from translate.runtime.card import Card, Noise
from translate.runtime.model import Model
from translate.runtime.picture import Picture

NETWORKS = {
    "resnet": lambda: ResNet(width=4, blocks=2),
    "unet with noise": lambda: UNet(width=4, levels=3, norm="batch", noisy=(1,)),
}


def card(network: nn.Module, **changes: object) -> Card:
    form = {"reach": network.reach, "stride": network.stride, "tiling": tiling(network)}
    noise = getattr(network, "noise", None)
    told = {"name": "tiny", "task": "test", "source": "pictures", "target": "pictures", "size": 32}
    return Card.model_validate(told | form | {"noise": noise and Noise(**noise)} | changes)


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    network = lively(NETWORKS[request.param]())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "KEPT", 2.5)  # so that some layers of narrow networks are computed again, as those of wide ones are
        return network, export(network, card(network), tmp_path_factory.mktemp("exported") / "tiny.onnx")


def photograph(height: int, width: int) -> Picture:
    """Half dark, half bright, with something to see at every scale."""
    y, x = np.mgrid[:height, :width]
    grey = 128 + 60 * np.sin(x / 3) * np.cos(y / 7) + 40 * np.sin((x + y) / 29)
    pixels = np.stack([grey, 0.8 * grey, 255 - grey], axis=2).clip(0, 255)
    pixels[:, : width // 2] /= 8
    return Picture((pixels + random_picture(height, width).pixels / 20).clip(0, 255).astype(np.uint8))


def test_tiles_equal_the_whole(exported: tuple[nn.Module, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model, picture = Model.open(exported[1], threads=1), photograph(133, 210)
    assert model.card.tiling == "statistics"
    assert model._statistics is not None
    assert model._statistics._plan.held <= 2.5
    whole = model(picture, seed=1).pixels.astype(int)
    monkeypatch.setattr(tiles, "SIDE", 64)
    grid = model._grid(133, 210, 0)
    assert len(grid) >= 2
    tiled = model(picture, seed=1).pixels.astype(int)
    assert whole.std() > 20
    assert 10 * np.log10(255**2 / np.square(tiled - whole).mean()) > 60  # 40 is promised
    for axis, spans in ((0, grid.rows), (1, grid.columns)):
        borders = [span.core_start - 1 for span in spans[1:]]
        steps, wanted = (np.abs(np.diff(way, axis=axis)).take(borders, axis=axis).mean() for way in (tiled, whole))
        assert not borders or steps == pytest.approx(wanted, rel=0.02)


def test_the_files_contract(exported: tuple[nn.Module, Path]) -> None:
    network, path = exported
    session = Model.open(path)._session
    count = sum(own.shape[1] for own in _tape_of(network).own)
    inputs = {value.name: (value.type, value.shape[1:]) for value in session.get_inputs()}
    assert inputs.pop("statistics") == ("tensor(float)", [count, 2])
    assert inputs.pop("given") == ("tensor(float)", [])
    assert inputs.keys() == {"image", *(["noise"] if network.noise else [])}
    assert {value.name: value.shape[1:] for value in session.get_outputs()}["own"] == [count, 2]


def _tape_of(network: nn.Module):  # type: ignore[no-untyped-def]
    copied = copy.deepcopy(network)
    tape = on_tape(copied)
    copied(torch.zeros(1, 3, 16, 16))
    return tape


def test_the_gate_tries_own_and_given_statistics(exported: tuple[nn.Module, Path]) -> None:
    network, path = copy.deepcopy(exported[0]), exported[1]
    translator = Translator(network, network.stride, tape=on_tape(network)).eval()
    assert check_parity(translator, path.read_bytes(), SIZES[3:5]) < 2e-4
    model = onnx.load(path)
    (sharing,) = (node for node in model.graph.node if node.op_type == "Greater")
    for ignoring in ([0, 0], [1, 1]):  # always their own, always those given
        sharing.input[:] = ["zero", "one"] if ignoring[0] == 0 else ["one", "zero"]
        broken = onnx.ModelProto()
        broken.CopyFrom(model)
        broken.graph.initializer.extend(
            onnx.numpy_helper.from_array(np.float32(k), name) for k, name in ((0, "zero"), (1, "one"))
        )
        with pytest.raises(ExportError, match="differs"):
            check_parity(translator, broken.SerializeToString(), SIZES[3:5])


def test_reach_is_checked_with_given_statistics() -> None:
    network = lively(ResNet(width=4, blocks=1))
    with pytest.raises(ExportError, match="reach"):
        check_reach(network, 20, 8)
    tape = on_tape(network)
    check_reach(network, 20, 8, tape=tape)
    with pytest.raises(ExportError, match="reach"):
        check_reach(network, 8, 8, tape=tape)


@pytest.mark.parametrize(
    ("network", "wanted"),
    [
        (ResNet(width=1, blocks=1), "statistics"),
        (ResNet(width=1, blocks=1, norm="batch"), "statistics"),
        (ResNet(width=1, blocks=1, norm="none"), "exact"),
        (ResNet(width=1, blocks=1, norm="layer"), "whole"),
        (UNet(width=1, levels=7), "statistics"),
        (UNet(width=1, levels=8), "whole"),
        (nn.Conv2d(3, 3, 1), "whole"),
    ],
)
def test_how_networks_may_be_cut(network: nn.Module, wanted: str) -> None:
    assert tiling(network) == wanted


def test_a_card_that_promises_statistics_where_there_are_none_is_refused(tmp_path: Path) -> None:
    network = ResNet(width=1, blocks=1, norm="none")
    with pytest.raises(ExportError, match="say 'exact'"):
        export(network, card(network, tiling="statistics"), tmp_path / "tiny.onnx")
    assert not list(tmp_path.iterdir())
