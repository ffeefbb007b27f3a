"""Translators in half precision and in 8 bits: near to the float32 file, and not written where they are not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.conftest import MakeModel
from tests.precision.conftest import settler
from tests.test_export_statistics import photograph
from translate.cli.converted import converted
from translate.cli.export import app
from translate.modelcard import markdown
from translate.precision import NotAlike, convert, half
from translate.precision.likeness import Reference, psnr
from translate.runtime import tiles
from translate.runtime.card import Precision, read_stages
from translate.runtime.graph import read_metadata
from translate.runtime.model import Model, read_card

HEAVY = ("Conv", "ConvTranspose")


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(max(np.square(one / 255.0 - other / 255.0).mean(), 1e-12)))


@pytest.fixture(scope="session")
def files(exported: dict[str, Path], cuttings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Each network in each precision."""
    folder, made = tmp_path_factory.mktemp("converted"), {}
    for name, path in exported.items():
        for kind, least in (("fp16", 50), ("int8", 25)):
            made[name, kind] = folder / f"{name}-{kind}.onnx"
            convert(path, made[name, kind], kind, cuttings, least)  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("kind", ["fp16", "int8"])
@pytest.mark.parametrize("name", ["restorer", "settler"])
def test_pictures_are_near_and_tiles_equal_the_whole(
    files: dict[tuple[str, str], Path], exported: dict[str, Path], name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, before, picture = Model.open(files[name, kind], threads=1), Model.open(exported[name], threads=1), photograph(65, 140)
    whole = model(picture, seed=1).pixels
    assert decibels(whole, before(picture, seed=1).pixels) > (48 if kind == "fp16" else 20)
    monkeypatch.setattr(tiles, "SIDE", 48)
    assert len(model._grid(65, 140, 0)) > 1
    # A value that is rounded to another of the 256 numbers is one off by much
    assert decibels(model(picture, seed=1).pixels, whole) > (50 if kind == "fp16" else 30)


@pytest.mark.parametrize("name", ["restorer", "settler"])
def test_the_card_tells_what_was_measured(
    files: dict[tuple[str, str], Path], exported: dict[str, Path], cuttings: Path, name: str
) -> None:
    for kind in ("fp16", "int8"):
        path = files[name, kind]
        card, before = read_card(path), read_card(exported[name])
        assert card.precision is not None
        assert card.precision.kind == kind
        assert f"2 pictures of {cuttings.name}" in card.precision.measured_on
        assert card.precision.worst <= card.precision.psnr
        assert card.metrics == {}  # of the float32 file
        kept = {"name", "precision", "metrics", "test_set"}
        assert card.model_dump(exclude=kept) == before.model_dump(exclude=kept)
        assert card.name == path.stem
        assert path.with_suffix(".md").read_text() == markdown(card)
        assert f"{card.precision.psnr:.1f} dB" in markdown(card)


def test_norms_and_ends_stay_in_float32(files: dict[tuple[str, str], Path]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(files["settler", "fp16"]))
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
    for node in model.graph.node:
        if node.op_type in ("ReduceMean", "Sqrt", "Reciprocal", "Clip", "Tanh"):
            assert {types[name] for name in node.output} == {onnx.TensorProto.FLOAT}
        if node.op_type in HEAVY:
            assert {types[name] for name in node.output} == {onnx.TensorProto.FLOAT16}
    assert {types[value.name] for value in (*model.graph.input, *model.graph.output)} == {onnx.TensorProto.FLOAT}


def test_statistics_are_of_what_the_norms_are_given(files: dict[tuple[str, str], Path]) -> None:
    for kind in ("fp16", "int8"):
        path = files["settler", kind]
        given = {node.input[0] for node in onnx.load(path).graph.node if node.op_type == "ReduceMean"}
        norms = [stage.norm for stage in read_stages(read_metadata(path), path.name).stages]
        assert len(norms) == 3
        assert set(norms) <= given


def test_a_restorer_is_rounded_at_the_ends_alone(files: dict[tuple[str, str], Path]) -> None:
    nodes = onnx.load(files["restorer", "fp16"]).graph.node
    assert sum(node.op_type == "Cast" for node in nodes) == 2


def test_eight_bits_are_for_the_inner_convolutions(files: dict[tuple[str, str], Path], exported: dict[str, Path]) -> None:
    graph = onnx.load(files["restorer", "int8"]).graph
    assert files["restorer", "int8"].stat().st_size < exported["restorer"].stat().st_size
    maker = {name: node for node in graph.node for name in node.output}
    layers = [node for node in graph.node if node.op_type in HEAVY]
    inner = [node.input[1] in maker and maker[node.input[1]].op_type == "DequantizeLinear" for node in layers]
    assert not inner[0]
    assert not inner[-1]
    assert any(inner)
    card = read_card(files["restorer", "int8"])
    assert card.precision is not None
    assert card.precision.layers.startswith(f"{sum(inner)} of {len(layers)} ")
    stored = {constant.name: constant.data_type for constant in graph.initializer}
    for node, small in zip(layers, inner, strict=True):
        if small:
            assert stored[maker[node.input[1]].input[0]] == onnx.TensorProto.INT8


def test_layers_that_lose_much_stay_in_float32(exported: dict[str, Path], cuttings: Path, tmp_path: Path) -> None:
    def converted_at(least: float) -> Precision:
        told = convert(exported["restorer"], tmp_path / "a.onnx", "int8", cuttings, least).precision
        assert told is not None
        return told

    every = converted_at(10)
    assert every.layers.startswith("6 of 8")
    fewer = converted_at(every.psnr + 2)
    assert fewer.psnr >= every.psnr + 2
    assert int(fewer.layers.split()[0]) in range(1, 6)


@pytest.mark.parametrize("kind", ["fp16", "int8"])
def test_nothing_is_written_below_the_decibels_asked_for(
    exported: dict[str, Path], cuttings: Path, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(NotAlike, match="98"):
        convert(exported["settler"], tmp_path / "deep" / "a.onnx", kind, cuttings, 98)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_pictures_that_were_not_calibrated_on_decide(exported: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "dark"
    folder.mkdir()
    for index in range(8):
        bright = index % 4 == 3  # these are held out
        pixels = np.random.default_rng(index).integers(0, 256 if bright else 4, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    with pytest.raises(NotAlike, match="not calibrated on"):
        convert(exported["restorer"], tmp_path / "a.onnx", "int8", folder)
    assert not (tmp_path / "a.onnx").exists()


def test_numbers_beyond_float16_are_seen(exported: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud.onnx").write_bytes(settler(1e6))
    with pytest.raises(NotAlike, match=r" 0\.0 dB"):
        convert(tmp_path / "loud.onnx", tmp_path / "a.onnx", "fp16")
    monkeypatch.setattr(half, "HEAVY", (*HEAVY, "Sub", "Mul", "ReduceMean"))  # a variance, not its square root
    with pytest.raises(NotAlike):
        convert(exported["settler"], tmp_path / "a.onnx", "fp16")
    assert [path.name for path in tmp_path.iterdir()] == ["loud.onnx"]


def test_values_that_are_no_numbers_are_far_off(make_model: MakeModel) -> None:
    feeds = [{"image": np.zeros((1, 4, 4, 3), np.float32)}]
    assert psnr(make_model("nan"), Reference(make_model("identity"), feeds)) == [0.0]
    assert psnr(make_model("identity"), Reference(make_model("identity"), feeds)) == [99.0]
    assert psnr(make_model("invert"), Reference(make_model("identity"), feeds)) == [0.0]


def said(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, " ".join(result.output.split())


def test_an_exported_file_is_converted_beside_itself(make_model: MakeModel, cuttings: Path) -> None:
    path = make_model("blur", depth=3)
    code, text = said(path, "--precision", "int8", "--calibrate", cuttings, "--least-psnr", 30)
    assert code == 0, text
    made = path.with_stem(f"{path.stem}-int8")
    assert {made, made.with_suffix(".md")} < set(path.parent.iterdir())
    assert "1 of 3 convolutions" in text
    assert read_card(made).name == made.stem
    code, text = said(made, "--precision", "fp16", "--out", path.with_stem("again"))
    assert code == 1
    assert "is int8 already" in text


def test_what_cannot_be_is_refused(make_model: MakeModel, cuttings: Path, tmp_path: Path) -> None:
    path = make_model("blur", depth=3)
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    Image.new("RGB", (9, 9)).save(lonely / "one.png")
    before = set(path.parent.iterdir())
    for arguments, words in (
        (["--precision", "int8"], "--calibrate"),
        (["--precision", "int8", "--calibrate", lonely], "holds 1 pictures"),
        (["--precision", "int8", "--calibrate", cuttings, "--least-psnr", 98], "98"),
        (["--calibrate", cuttings], "--precision"),
        (["--precision", "fp16", "--out", "Wrong Name.onnx"], "--out"),
    ):
        code, text = said(path, *arguments)
        assert code == 1
        assert words in text
    assert set(path.parent.iterdir()) == before
    code, text = said(make_model("identity"), "--precision", "int8", "--calibrate", cuttings)
    assert code == 1
    assert "no convolution" in text


def test_noise_goes_along(make_model: MakeModel, tmp_path: Path) -> None:
    """Without noise among what the files are given, neither would run."""
    told = convert(make_model("noisy"), tmp_path / "a.onnx", "fp16").precision
    assert told is not None
    assert told.psnr == 99
    assert told.measured_on == "4 random pictures"


def test_both_ways_are_written_or_none(make_model: MakeModel, cuttings: Path, tmp_path: Path) -> None:
    def exported(out, finish):  # type: ignore[no-untyped-def]
        made = []
        for path in (out, out.with_stem(f"{out.stem}-back")):
            path.write_bytes(make_model("blur").read_bytes())
            made.append(finish(path))
        return made

    target = tmp_path / "there.onnx"
    with pytest.raises(ValueError, match="two translators"):
        converted(exported, target, "fp16", cuttings, None)
    assert not list(tmp_path.glob("there*"))
    written = converted(exported, target, "fp16", None, None)
    assert written == [target, tmp_path / "there-back.onnx"]
    assert {path.name for path in tmp_path.glob("there*")} == {"there.onnx", "there.md", "there-back.onnx", "there-back.md"}
    assert read_card(written[1]).name == "there-back"
