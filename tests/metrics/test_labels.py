"""Label maps by nearest colour, their scores by hand, and palettes in files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from translate.metrics import Result
from translate.metrics.labels import FACADES, Palette, Recognised, Segmentation, named

TWO = Palette(("black", "white", "red"), np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], np.float32))


def drawn(palette: Palette, classes: np.ndarray) -> torch.Tensor:
    colours = palette.colours[classes] / 255
    return torch.from_numpy(colours.transpose(2, 0, 1).copy())[None]


def scores(palette: Palette, fake: np.ndarray, real: np.ndarray) -> dict[str, float]:
    measure = Segmentation(palette)
    measure.add(Result("map", drawn(palette, real), drawn(palette, fake), drawn(palette, real)))
    return {name: score.value for name, score in measure.scores().items()}


def test_each_facade_class_is_read_through_noise() -> None:
    truth = np.random.default_rng(0).integers(0, 12, (40, 40))
    noise = torch.from_numpy(np.random.default_rng(1).uniform(-40, 40, (1, 3, 40, 40)) / 255).float()
    assert np.array_equal(FACADES.classes((drawn(FACADES, truth) + noise).clamp(0, 1)).numpy(), truth)
    assert len(set(map(tuple, FACADES.colours.tolist()))) == len(FACADES.names) == 12
    assert FACADES.colours[FACADES.names.index("window")].tolist() == [0, 85, 255]


def test_scores_by_hand() -> None:
    real = np.array([[0, 0, 0, 1]])
    fake = np.array([[0, 0, 1, 1]])
    found = scores(TWO, fake, real)
    assert found["pixel-accuracy"] == pytest.approx(3 / 4)
    assert found["class-accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["iou"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_one_class_everywhere_scores_its_share() -> None:
    real = np.array([[0] * 6 + [1] * 3 + [2]])
    found = scores(TWO, np.zeros_like(real), real)
    assert found == pytest.approx({"pixel-accuracy": 0.6, "class-accuracy": 1 / 3, "iou": 0.6 / 3})


def test_classes_that_no_target_holds_do_not_count() -> None:
    real = np.array([[0, 0, 1, 1]])
    assert scores(TWO, real, real) == {"pixel-accuracy": 1, "class-accuracy": 1, "iou": 1}
    found = scores(TWO, np.array([[0, 0, 1, 2]]), real)  # red is nowhere: it costs white's accuracy and IoU
    assert found == pytest.approx({"pixel-accuracy": 3 / 4, "class-accuracy": 3 / 4, "iou": 3 / 4})


def test_pixels_are_summed_over_pictures() -> None:
    measure = Segmentation(TWO)
    for real, fake in (([[0]], [[0]]), ([[0, 0, 0]], [[1, 1, 1]])):
        pictures = [drawn(TWO, np.array(classes)) for classes in (real, fake)]
        measure.add(Result("map", pictures[0], pictures[1], pictures[0]))
    assert measure.scores()["pixel-accuracy"].value == pytest.approx(1 / 4)  # not the mean of 1 and 0
    assert measure.by_class() == {"black": {"accuracy": 0.25, "iou": 0.25, "share": 1}}
    with pytest.raises(ValueError, match="lonely has no label map"):
        measure.add(Result("lonely", pictures[0], pictures[0]))


def test_palettes_in_files(tmp_path: Path) -> None:
    path = tmp_path / "palette.txt"
    path.write_text("# the classes\n0 0 0 black\n\n255, 255, 255, light sky  # by day\n")
    palette = named(str(path))
    assert palette.names == ("black", "light sky")
    assert palette.colours.tolist() == [[0, 0, 0], [255, 255, 255]]
    assert named("facades") is FACADES


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 0 0 black\n0 0 256 blue\n", "line 2: a class is told as"),
        ("0 0 0\n1 1 1 b\n", "line 1: a class is told as"),
        ("0 0 0 black\n", "two classes at the least"),
        ("0 0 0 black\n0 0 0 white\n", "a colour of its own"),
        ("0 0 0 black\n1 1 1 black\n", "a name and"),
    ],
)
def test_palettes_that_mean_nothing(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "palette.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=told):
        named(str(path))


def test_an_unknown_palette_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no palette 'cityscape': known are facades"):
        named("cityscape")


def test_a_classifier_reads_translations_and_sources() -> None:
    def brightness(picture: torch.Tensor) -> torch.Tensor:
        light = picture.mean()
        return torch.tensor([[1 - light, light]])

    dark, light = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    measure = Recognised(brightness)
    for label in (1, 1, 1, 0):
        measure.add(Result("p", dark, light, label=label))
    found = {name: score.value for name, score in measure.scores().items()}
    assert found == {"accuracy": 0.75, "accuracy-untranslated": 0.25}
    with pytest.raises(ValueError, match="p is of class 2, but the classifier knows 2, from 0"):
        measure.add(Result("p", dark, light, label=2))
    with pytest.raises(ValueError, match="p has no class"):
        measure.add(Result("p", dark, light))
