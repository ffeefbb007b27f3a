"""Copies: versions of a picture are told from other pictures, and a pair that was moved from one that was not."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data
from sklearn.datasets import load_digits

from translate.data import copies
from translate.data.copies import alike, moved, thumbnail

PHOTOGRAPHS = {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}


def version(picture: np.ndarray, scale: float = 0.5, quality: int = 40) -> np.ndarray:
    file = io.BytesIO()
    image = Image.fromarray(picture)
    image.resize((int(image.width * scale), int(image.height * scale))).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_versions_are_alike_and_other_pictures_are_not() -> None:
    shown = [picture for original in PHOTOGRAPHS.values() for picture in (original, version(original), 40 + original // 2)]
    found = alike([thumbnail(picture) for picture in shown])  # type: ignore[misc]
    assert set(found) == {(k + i, k + j) for k in range(0, 12, 3) for i, j in ((0, 1), (0, 2), (1, 2))}


def test_thumbnails_do_not_depend_on_depth_or_channels() -> None:
    grey = data.camera()[..., None]
    for other in (grey.astype(np.uint16) * 257, np.repeat(grey, 3, axis=2)):
        np.testing.assert_allclose(thumbnail(grey), thumbnail(other), atol=1e-5)


def test_flat_pictures_are_like_nothing() -> None:
    assert thumbnail(np.full((40, 40, 3), 77, np.uint8)) is None
    assert alike([]) == []


def test_handwritten_digits_of_one_class_are_not_versions() -> None:
    digits = load_digits().images[:600, ..., None].astype(np.uint8) * 15
    assert not alike([thumbnail(digit) for digit in digits])  # type: ignore[misc]


def test_blocks_of_the_comparison_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = list(np.repeat(np.eye(7, 256, dtype=np.float32), 2, axis=0))
    whole = alike(vectors)
    assert whole == [(k, k + 1) for k in range(0, 14, 2)]
    monkeypatch.setattr(copies, "BLOCK", 3)
    assert alike(vectors) == whole


def drawn(photograph: np.ndarray) -> np.ndarray:
    """Another domain: inverted, blurred and posterised."""
    return 255 - (cv2.GaussianBlur(photograph, (0, 0), 1.5) // 64) * 64


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("shift", [(24, 0), (-30, 18)])
def test_moved_pairs_are_told_with_their_shift(name: str, shift: tuple[int, int]) -> None:
    photograph = PHOTOGRAPHS[name]
    dx, dy = shift
    y = np.roll(drawn(photograph), (dy, dx), axis=(0, 1))[60:-60, 60:-60]
    found = moved(photograph[60:-60, 60:-60], y)
    assert found is not None
    assert np.abs(np.subtract(found, shift)).max() <= 4  # a pixel of the 128 is up to 4 of these


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_pairs_that_lie_right_and_pairs_of_nothing_in_common_are_left_alone(name: str) -> None:
    photograph = PHOTOGRAPHS[name]
    assert moved(photograph, drawn(photograph)) is None
    noise = np.random.default_rng(0).integers(0, 256, photograph.shape, dtype=np.uint8)
    assert moved(photograph, noise) is None
    assert moved(photograph, np.zeros_like(photograph)) is None
    assert moved(photograph[:10, :10], photograph[:10, :10]) is None
