"""A translator is measured as it is served, and as training measures it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.metrics.test_networks import network
from tests.tiny_models import build
from translate.evaluation.cases import find
from translate.evaluation.instruments import Wanted
from translate.evaluation.measure import Report, evaluate
from translate.metrics.labels import FACADES
from translate.runtime.errors import InvalidModel
from translate.runtime.store import sha256
from translate.training.evaluate import quality


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Four joined pictures, the right side a little darker than the left."""
    for index in range(4):
        left = np.random.default_rng(index).integers(10, 256, (16, 16, 3), dtype=np.uint8)
        path = tmp_path / "pairs" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.concatenate([left, left - 10], axis=1)).save(path)
    return path.parent


def tiny(folder: Path, kind: str, **card: object) -> Path:
    path = folder / f"{kind}.onnx"
    path.write_bytes(build(kind, name=kind, **card))
    return path


def values(report: Report) -> dict[str, float]:
    return {name: score.value for name, score in report.scores.items()}


def test_psnr_of_a_known_difference(tmp_path: Path, pairs: Path) -> None:
    report = evaluate(tiny(tmp_path, "identity"), find(pairs), Wanted())
    assert values(report)["psnr"] == pytest.approx(20 * np.log10(255 / 10), abs=1e-3)
    assert set(values(report)) == {"psnr", "ssim"}
    assert set(report.missing) == {"lpips", "fid, kid"}
    assert report.sha256 == sha256(tmp_path / "identity.onnx")
    assert (report.count, report.references, report.resize, report.seed) == (4, 0, 0, None)


class Inverse(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -x


def test_training_measures_the_same(tmp_path: Path, pairs: Path) -> None:
    from translate.data.layouts import pairs_in
    from translate.data.pixels import as_pair, read_pair

    known = [as_pair(*read_pair(pair)) for pair in pairs_in(pairs)]
    trained = quality(Inverse(), known, torch.device("cpu"))
    assert values(evaluate(tiny(tmp_path, "invert"), find(pairs), Wanted())) == pytest.approx(trained, rel=1e-4)


def test_a_named_set_stands_before_its_measures(tmp_path: Path, pairs: Path) -> None:
    report = evaluate(tiny(tmp_path, "identity"), find(pairs), Wanted(), name="old")
    assert set(report.metrics) == {"old/psnr", "old/ssim"}


def test_everything_at_once(tmp_path: Path, pairs: Path) -> None:
    features = network(tmp_path / "colour.onnx", ["N", "H", "W", 3])
    wanted = Wanted(features=features, palette=FACADES)
    report = evaluate(tiny(tmp_path, "identity"), find(pairs, maps=True), wanted)
    assert {"fid-colour", "kid-colour", "pixel-accuracy", "class-accuracy", "iou"} < set(report.metrics)
    assert report.classes.keys() <= set(FACADES.names)
    assert report.metrics["fid-colour"] == pytest.approx(3 * (10 / 255) ** 2, rel=1e-2)  # an even shift of three features
    low, high = report.intervals["kid-colour"]
    assert low < report.metrics["kid-colour"] < high
    told = json.loads(report.json())
    assert told["metrics"] == report.metrics
    assert told["test_set"] == report.test_set


def test_pictures_against_others_without_partner(tmp_path: Path, pairs: Path) -> None:
    features = network(tmp_path / "colour.onnx", ["N", "H", "W", 3])
    cases = find(pairs, reference=pairs)
    report = evaluate(tiny(tmp_path, "identity"), cases, Wanted(features=features))
    assert report.metrics.keys() == {"fid-colour", "kid-colour"}
    assert report.metrics["fid-colour"] == pytest.approx(0, abs=1e-6)
    assert report.references == 4


def test_noise_follows_the_seed_and_differs_between_seeds(tmp_path: Path, pairs: Path) -> None:
    path, cases = tiny(tmp_path, "noisy"), find(pairs)
    one, again, other = (evaluate(path, cases, Wanted(), seed=seed) for seed in (1, 1, 2))
    assert one.scores == again.scores
    assert one.scores != other.scores
    assert (one.seed, other.seed) == (1, 2)
    assert other.test_set.endswith(", seed 2")
    several = evaluate(path, cases, Wanted(samples=3), seed=1)
    assert several.scores["psnr"] == one.scores["psnr"]
    # E|a − b| of two Gaussians of deviation 0.1 is 2 · 0.1 / √π, less what is clamped
    assert 0.7 * 255 * 0.2 / np.sqrt(np.pi) < several.metrics["diversity-pixels"] < 255 * 0.2 / np.sqrt(np.pi)


def test_a_classifier_reads_class_folders(tmp_path: Path) -> None:
    for label in (0, 2):
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[..., label] = 200
        (tmp_path / "digits" / str(label)).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "digits" / str(label) / "a.png")
    cases = find(tmp_path / "digits", alone=True).with_classes()
    classifier = network(tmp_path / "brightest.onnx", ["N", "H", "W", 3])
    report = evaluate(tiny(tmp_path, "invert"), cases, Wanted(classifier=classifier))
    assert values(report) == {"accuracy": 0, "accuracy-untranslated": 1}
    assert report.test_set.endswith(f", read by brightest.onnx (sha256 {sha256(classifier)[:12]})")


def test_what_was_asked_for_and_cannot_be_is_refused(tmp_path: Path, pairs: Path) -> None:
    path = tiny(tmp_path, "identity")
    with pytest.raises(ValueError, match="identity has no noise"):
        evaluate(path, find(pairs), Wanted(samples=2))
    with pytest.raises(ValueError, match="nothing is known of what the translations should look like"):
        evaluate(path, find(pairs, alone=True), Wanted())
    with pytest.raises(ValueError, match="LPIPS and label maps compare with known targets"):
        evaluate(path, find(pairs, alone=True), Wanted(palette=FACADES))
    with pytest.raises(ValueError, match="FID and KID compare with real pictures"):
        evaluate(path, find(pairs, alone=True), Wanted(features=path))
    with pytest.raises(ValueError, match=r"nothing\.pth is not a file"):
        evaluate(path, find(pairs), Wanted(lpips=str(tmp_path / "nothing.pth")))
    with pytest.raises(InvalidModel):
        evaluate(network(tmp_path / "colour.onnx", ["N", "H", "W", 3]), find(pairs), Wanted())
