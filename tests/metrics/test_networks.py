"""Networks given by path: what they answer, and what is said of files that are none."""

from pathlib import Path

import onnx
import pytest
import torch
import torchvision
from onnx import TensorProto, helper

from translate.metrics.networks import Exported, cosine_distance, inception, lpips


def network(path: Path, shape: list[int | str], keepdims: int = 0, inputs: int = 1) -> Path:
    """A mean over the picture, of `[N, H, W, 3]`."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    nodes = [helper.make_node("ReduceMean", ["picture", "axes"], ["features"], keepdims=keepdims)]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("picture", "other")[:inputs]]
    output = helper.make_tensor_value_info("features", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph(nodes, "mean", given, [output], [axes]), opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )
    onnx.save(model, path)
    return path


def test_features_of_an_exported_file(tmp_path: Path) -> None:
    picture = torch.rand(1, 3, 9, 14, generator=torch.Generator().manual_seed(0))
    features = Exported(network(tmp_path / "mean.onnx", ["N", "H", "W", 3]))(picture)
    assert torch.allclose(features, picture.mean((2, 3)), atol=1e-6)


def test_pictures_are_resized_where_the_file_wants_one_size(tmp_path: Path) -> None:
    features = Exported(network(tmp_path / "mean.onnx", ["N", 7, 5, 3]))
    assert torch.allclose(features(torch.full((1, 3, 40, 60), 0.25)), torch.full((1, 3), 0.25))
    assert torch.allclose(features(torch.full((1, 3, 7, 5), 0.25)), torch.full((1, 3), 0.25))


@pytest.mark.parametrize(
    ("shape", "inputs", "told"), [(["N", 3, "H", "W"], 1, r"wanted is one input"), (["N", "H", "W", 3], 2, "wanted is one input")]
)
def test_files_with_other_inputs_are_refused(tmp_path: Path, shape: list[int | str], inputs: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Exported(network(tmp_path / "other.onnx", shape, inputs=inputs))


def test_files_with_other_outputs_are_refused(tmp_path: Path) -> None:
    features = Exported(network(tmp_path / "mean.onnx", ["N", "H", "W", 3], keepdims=1))
    with pytest.raises(ValueError, match=r"answered one picture with \(1, 1, 1, 3\)"):
        features(torch.zeros(1, 3, 4, 4))


def test_what_is_no_file_or_no_network_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.onnx is not a file"):
        Exported(tmp_path / "nothing.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(ValueError, match="cannot be loaded"):
        Exported(tmp_path / "text.onnx")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "squeezenet.pth"
    torch.save(torchvision.models.squeezenet1_1().state_dict(), path)
    return path


def test_lpips_of_weights_by_path(backbone: Path) -> None:
    usual, dice = torch.hub.get_dir(), torch.Generator().manual_seed(0)
    compare = lpips(str(backbone))
    assert torch.hub.get_dir() == usual
    clean, noise = torch.rand(1, 3, 64, 64, generator=dice), torch.randn(1, 3, 64, 64, generator=dice)
    near, far = ((clean + amount * noise).clamp(0, 1) for amount in (0.02, 0.3))
    assert compare(clean, clean) == 0
    assert 0 < compare(near, clean) < compare(far, clean)
    alone = compare(near, clean)
    compare(far, clean)
    assert compare(near, clean) == alone  # no mean over what came before


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a file; wanted are torchvision's weights"):
        lpips(str(tmp_path / "nothing.pth"))
    with pytest.raises(ValueError, match="is not a file; wanted are Inception's weights"):
        inception(str(tmp_path / "nothing.pth"))
    torch.save({"features.0.weight": torch.zeros(2, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="none of AlexNet, VGG16 and SqueezeNet"):
        lpips(str(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match="does not hold Inception's weights"):
        inception(str(tmp_path / "other.pth"))
    torch.save({"features.0.weight": torch.zeros(64, 3, 11, 11)}, tmp_path / "part.pth")
    with pytest.raises(ValueError, match="do not fit the network"):
        lpips(str(tmp_path / "part.pth"))


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


def test_no_pickle_from_strangers_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"features.0.weight": Hostile()}, tmp_path / "hostile.pth")
    for load in (lpips, inception):
        with pytest.raises(ValueError, match="cannot be read as weights"):
            load(str(tmp_path / "hostile.pth"))
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_downloaded_says_what_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refused)
    monkeypatch.setattr("torch.hub.urlopen", refused)
    with pytest.raises(ValueError, match=r"cannot be downloaded \(no route to host\): fetch them elsewhere, .*--lpips FILE"):
        lpips("download")
    with pytest.raises(ValueError, match=r"cannot be downloaded .*--inception FILE"):
        inception("download")


def test_cosine_distance() -> None:
    one = torch.tensor([[1.0, 0.0]])
    assert cosine_distance(one, 3 * one) == pytest.approx(0)
    assert cosine_distance(one, torch.tensor([[0.0, 2.0]])) == pytest.approx(1)
    assert cosine_distance(one, -one) == pytest.approx(2)
    assert cosine_distance(torch.zeros(1, 2), torch.zeros(1, 2)) == 0
    assert cosine_distance(torch.zeros(1, 2), one) == 1
