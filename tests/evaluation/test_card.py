"""Measures go into the card, and nothing else of the file changes."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.metrics.test_networks import network
from tests.tiny_models import build
from translate.evaluation.card import write_card
from translate.modelcard import markdown
from translate.runtime.card import METADATA_KEY
from translate.runtime.errors import InvalidModel
from translate.runtime.model import Model, read_card


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "blur.onnx"
    path.write_bytes(build("blur", name="blur", metrics={"psnr": 1.0, "old/psnr": 2.0}, test_set="held out", licence="mine"))
    return path


def test_the_graph_and_the_rest_of_the_card_stay(path: Path) -> None:
    before, card = onnx.load(path), read_card(path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8))
    drawn = np.asarray(Model.open(path)(picture))
    write_card(path, {"psnr": 30.5, "fid": 12.0}, "facades, test: 4 pairs")
    after, told = onnx.load(path), read_card(path)
    assert after.graph.SerializeToString(deterministic=True) == before.graph.SerializeToString(deterministic=True)
    assert after.opset_import == before.opset_import
    assert told.metrics == {"psnr": 30.5, "fid": 12.0}
    assert told.test_set == "facades, test: 4 pairs"
    assert told == card.model_copy(update={"metrics": told.metrics, "test_set": told.test_set})
    assert path.with_suffix(".md").read_text() == markdown(told)
    assert np.array_equal(np.asarray(Model.open(path)(picture)), drawn)


def test_other_metadata_stays(path: Path) -> None:
    model = onnx.load(path)
    model.metadata_props.add(key="mine", value="kept")
    onnx.save(model, path)
    write_card(path, {"psnr": 3}, "somewhere")
    assert {entry.key: entry.value for entry in onnx.load(path).metadata_props}.keys() == {"mine", METADATA_KEY}


def test_sets_of_other_names_keep_their_measures(path: Path) -> None:
    write_card(path, {"noise25/psnr": 4}, "photos: 2 photographs", "noise25")
    told = read_card(path)
    assert told.metrics == {"psnr": 1, "old/psnr": 2, "noise25/psnr": 4}
    assert told.test_set == "held out; noise25: photos: 2 photographs"
    write_card(path, {"noise25/ssim": 5}, "photos: 3 photographs", "noise25")
    told = read_card(path)
    assert told.metrics == {"psnr": 1, "old/psnr": 2, "noise25/ssim": 5}
    assert told.test_set == "held out; noise25: photos: 3 photographs"


def test_a_set_that_replaces_all_is_told_alone(path: Path) -> None:
    path.write_bytes(build("blur", metrics={"old/psnr": 2.0}, test_set="held out"))
    write_card(path, {"old/psnr": 4}, "photos: 2 pairs", "old")
    assert read_card(path).test_set == "old: photos: 2 pairs"


def test_sums_beside_it_are_made_again(path: Path) -> None:
    sums = path.with_name("SHA256SUMS")
    sums.write_text(f"{'0' * 64}  blur.onnx\n{'1' * 64}  other.onnx\n")
    write_card(path, {"psnr": 3}, "somewhere")
    assert sums.read_text() == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  blur.onnx\n{'1' * 64}  other.onnx\n"


def test_files_that_are_no_translators_are_left_alone(tmp_path: Path) -> None:
    other = network(tmp_path / "other.onnx", ["N", "H", "W", 3])
    text = tmp_path / "text.onnx"
    text.write_text("not a network")
    before = {path: path.read_bytes() for path in (other, text)}
    with pytest.raises(InvalidModel, match="holds no"):
        write_card(other, {"psnr": 3}, "somewhere")
    with pytest.raises(ValueError, match=r"cannot be read as an \.onnx file"):
        write_card(text, {"psnr": 3}, "somewhere")
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in tmp_path.iterdir()} == {"other.onnx", "text.onnx"}


def test_what_was_told_of_all_goes_when_each_was_measured_anew(path: Path) -> None:
    path.write_bytes(build("blur", metrics={"old/psnr": 2.0, "clean/psnr": 3.0}, test_set="held out"))
    assert write_card(path, {"old/psnr": 1.0}, "scans", "old").test_set == "held out; old: scans"
    assert write_card(path, {"clean/psnr": 1.0}, "photos", "clean").test_set == "old: scans; clean: photos"
