"""Pixels: every file as the server reads it, with its bits; scaled, cut and turned into tensors."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from translate.data.layouts import Pair, View
from translate.data.pixels import augmentation, decode, half, middle, preload, read, read_pair, scaled, to_channels, to_tensor
from translate.runtime.picture import Picture


def test_bits_and_channels_are_kept_or_asked_for(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (6, 5, 1), dtype=np.uint16)
    Picture(grey).save(tmp_path / "grey.tif")
    Picture(np.repeat(grey, 3, axis=2)).save(tmp_path / "rgb.png")
    for name in ("grey.tif", "rgb.png"):
        np.testing.assert_array_equal(decode(tmp_path / name, 1), grey)
        np.testing.assert_array_equal(decode(tmp_path / name, 3), np.repeat(grey, 3, axis=2))


def test_grey_is_the_luminance_that_serving_uses() -> None:
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [9, 9, 9]]], np.uint8)
    assert to_channels(primaries, 1).ravel().tolist() == [54, 182, 18, 255, 9]


def test_pictures_are_turned_as_their_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (4, 2)).save(tmp_path / "p.png", exif=exif)
    assert decode(tmp_path / "p.png").shape == (4, 2, 3)


@pytest.mark.parametrize("content", [b"no picture", b"", None])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "p.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"p\.png cannot be read"):
        decode(tmp_path / "p.png")


def test_pictures_without_a_known_range_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "p.tif")
    with pytest.raises(ValueError, match=r"p\.tif"):
        decode(tmp_path / "p.tif")


def joined(tmp_path: Path) -> Pair:
    picture = np.concatenate([np.full((3, 4, 3), 10), np.full((3, 5, 3), 200)], axis=1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "p.png")
    return Pair(View(tmp_path / "p.png", "p", "left"), View(tmp_path / "p.png", "p", "right"))


@pytest.mark.parametrize("channels", [(3, 3), (1, 3), (3, 1), (1, 1)])
def test_joined_pictures_are_cut_in_half(tmp_path: Path, channels: tuple[int, int]) -> None:
    pair = joined(tmp_path)
    x, y = read_pair(pair, channels)
    assert (x.shape, y.shape) == ((3, 4, channels[0]), (3, 4, channels[1]))
    assert (x.max(), y.max()) == (10, 200)
    for view, side, count in zip(pair, (x, y), channels, strict=True):
        np.testing.assert_array_equal(read(view, count), side)
    swapped = read_pair(Pair(pair.y, pair.x), channels)
    assert (swapped[0].max(), swapped[1].max()) == (200, 10)


def test_a_joined_picture_of_one_column_is_named() -> None:
    with pytest.raises(ValueError, match=r"p\.png"):
        half(np.zeros((3, 1, 3), np.uint8), View(Path("p.png"), "p", "left"))


def test_partners_of_other_sizes_are_refused(tmp_path: Path) -> None:
    views = [View(tmp_path / f"{width}.png", "p") for width in (4, 5)]
    for view, width in zip(views, (4, 5), strict=True):
        Image.new("RGB", (width, 3)).save(view.path)
    with pytest.raises(ValueError, match=r"is 4×3 but its partner .* is 5×3"):
        read_pair(Pair(*views))


@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.sampled_from([np.uint8, np.uint16]), st.sampled_from([1, 3])
)
def test_scaling_keeps_depth_and_channels(height: int, width: int, shorter: int, depth: type, channels: int) -> None:
    picture = np.full((height, width, channels), np.iinfo(depth).max // 3, depth)
    result = scaled(picture, shorter)
    assert min(result.shape[:2]) == shorter
    assert abs(result.shape[1] / result.shape[0] - width / height) <= max(1, width / height) / result.shape[0] + 1e-9
    assert (result.dtype, result.shape[2]) == (depth, channels)
    assert np.abs(result.astype(int) - int(picture[0, 0, 0])).max() <= 1
    assert middle(result, shorter).shape == (shorter, shorter, channels)


def test_scaling_averages_what_it_drops() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    small = scaled(picture, 30)
    assert small.shape == (30, 40, 3)
    assert small.mean() == pytest.approx(picture.mean(), abs=1)
    assert small.std() < picture.std() / 2


@pytest.mark.parametrize("depths", [(np.uint8, np.uint8), (np.uint16, np.uint8)])
def test_partners_are_cut_mirrored_and_turned_alike(depths: tuple[type, type]) -> None:
    ramp = np.arange(40 * 30).reshape(40, 30, 1)
    x, y = (ramp % 251).astype(depths[0]), np.repeat(ramp % 251, 3, axis=2).astype(depths[1])
    augment = augmentation(8, mirror=True, turn=True)
    seen = set()
    for seed in range(60):
        augment.set_random_seed(seed)
        both = augment(image=x, target=y)
        assert (both["image"].dtype, both["target"].dtype) == depths
        assert both["image"].shape == (8, 8, 1)
        np.testing.assert_array_equal(both["image"][..., 0], both["target"][..., 1])
        corner = both["image"][:2, :2, 0].astype(int)
        seen.add((int(np.sign(corner[0, 1] - corner[0, 0])), int(np.sign(corner[1, 0] - corner[0, 0]))))
    assert len(seen) >= 4


def test_tensors_span_minus_one_to_one() -> None:
    for peak, depth in ((255, np.uint8), (65535, np.uint16)):
        tensor = to_tensor(np.array([[[0], [peak // 2], [peak]]], depth))
        assert tensor.shape == (1, 1, 3)
        assert tensor.flatten().tolist() == pytest.approx([-1, -1 / peak, 1], abs=1e-7)


def test_no_more_than_the_budget_is_kept() -> None:
    kept = preload(range(1000), lambda k: (np.full(50, k, np.uint8), np.zeros(50, np.uint8)), budget=1000)
    assert 10 <= len(kept) < 1000
    assert all(made[0][0] == k % 256 for k, made in kept.items())
