"""Model: exact pixels, tiles equal to the whole, and a clear word for every picture that cannot be translated."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import MakeModel
from tests.runtime.pictures import random_picture
from translate.runtime import tiles
from translate.runtime.model import Model
from translate.runtime.picture import Picture

Pixels = np.ndarray


# Exactness


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_identity_returns_every_value_bit_for_bit(make_model: MakeModel, bits: int, channels: int) -> None:
    values = np.arange(2**bits, dtype=f"uint{bits}").reshape(16, -1, 1).repeat(channels, axis=2)
    result = Model.open(make_model("identity"))(Picture(values))
    assert result.pixels.dtype == values.dtype
    np.testing.assert_array_equal(result.pixels, values)


@pytest.mark.parametrize("bits", [8, 16])
def test_invert_is_exact(make_model: MakeModel, bits: int) -> None:
    picture = random_picture(30, 20, bits=bits)
    np.testing.assert_array_equal(Model.open(make_model("invert"))(picture).pixels, 2**bits - 1 - picture.pixels)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    kind=st.sampled_from(["blur", "pool"]),
    size=st.sampled_from([3, 5]),
    channels=st.sampled_from([1, 3]),
    bits=st.sampled_from([8, 16]),
    seed=st.integers(0, 99),
)
def test_tiles_equal_the_whole(
    make_model: MakeModel, small_tiles: None, height: int, width: int, kind: str, size: int, channels: int, bits: int, seed: int
) -> None:
    picture = random_picture(height, width, channels=channels, bits=bits, seed=seed)
    model = Model.open(make_model(kind, size=size), threads=1)
    assert height * width < 60 * 60 or len(model._grid(height, width, 0)) > 1
    difference = model(picture).pixels.astype(int) - whole(model, picture)
    assert np.abs(difference).max() <= (1 if bits == 8 else 3)  # 3 of 65535: 1/85 of the 1/255 promised


def whole(model: Model, picture: Picture) -> Pixels:
    """The network's answer in one piece, quantised independently of `Model`."""
    peak = 2**picture.bits - 1
    image = (picture.pixels / peak).astype(np.float32).repeat(3 // picture.pixels.shape[2], axis=2)
    (translated,) = model._session.run(None, {"image": image[None]})
    return np.floor(np.clip(translated[0, :, :, : picture.pixels.shape[2]].astype(float), 0, 1) * peak + 0.5).astype(int)


@pytest.mark.parametrize("kind", ["blur", "pool"])
def test_too_short_a_reach_would_show(make_model: MakeModel, small_tiles: None, kind: str) -> None:
    """The test above can fail: with a card that promises too short a reach, tiles differ from the whole."""
    picture = random_picture(100, 100)
    model = Model.open(make_model(kind, size=5, reach=1))
    assert np.abs(model(picture).pixels.astype(int) - whole(model, picture)).max() > 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 5), (3, 3)])
@pytest.mark.parametrize("kind", ["blur", "pool", "double"])
def test_pictures_below_the_reach(make_model: MakeModel, small_tiles: None, kind: str, shape: tuple[int, int]) -> None:
    result = Model.open(make_model(kind))(random_picture(*shape))
    scale = 2 if kind == "double" else 1
    assert (result.height, result.width) == (shape[0] * scale, shape[1] * scale)


@pytest.mark.parametrize("channels", [1, 3])
def test_enlarging_in_tiles(make_model: MakeModel, small_tiles: None, channels: int) -> None:
    picture = random_picture(61, 90, channels=channels, bits=16)
    result = Model.open(make_model("double"))(picture, consume=True)
    np.testing.assert_array_equal(result.pixels, picture.pixels.repeat(2, axis=0).repeat(2, axis=1))


def test_values_beyond_the_range_are_clipped(make_model: MakeModel) -> None:
    black_and_white = Picture(np.tile(np.array([0, 255], dtype=np.uint8), (40, 20))[:, :, None])
    pixels = Model.open(make_model("noisy"))(black_and_white, seed=1).pixels.astype(int)
    assert np.abs(pixels - black_and_white.pixels).max() < 128
    assert (pixels[:, ::2] == 0).mean() > 0.3
    assert (pixels[:, 1::2] == 255).mean() > 0.3


# What the caller may ask for


def test_the_picture_given_stays_as_it_was(make_model: MakeModel, small_tiles: None) -> None:
    picture = random_picture(50, 60)
    before = picture.pixels.copy()
    result = Model.open(make_model("invert"))(picture)
    np.testing.assert_array_equal(picture.pixels, before)
    assert not np.shares_memory(result.pixels, picture.pixels)


@pytest.mark.parametrize("kind", ["blur", "pool"])
def test_a_consumed_picture_gives_its_memory(make_model: MakeModel, small_tiles: None, kind: str) -> None:
    picture, model = random_picture(90, 130, bits=16), Model.open(make_model(kind))
    expected = model(picture).pixels
    result = model(picture, consume=True)
    assert np.shares_memory(result.pixels, picture.pixels)
    np.testing.assert_array_equal(result.pixels, expected)


def test_a_consumed_picture_needs_little_more_than_a_band(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "SIDE", 200)
    picture, model = random_picture(1500, 2000, bits=16), Model.open(make_model("invert"))
    tracemalloc.start()
    model(picture, consume=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < picture.pixels.nbytes / 2


def test_memory_that_cannot_be_written_is_not_consumed(make_model: MakeModel) -> None:
    picture = random_picture(9, 9)
    picture.pixels.flags.writeable = False
    result = Model.open(make_model("invert"))(picture, consume=True)
    np.testing.assert_array_equal(result.pixels, 255 - picture.pixels)


@pytest.mark.parametrize("consume", [False, True])
def test_amount_blends_with_the_original(make_model: MakeModel, small_tiles: None, consume: bool) -> None:
    picture, model = random_picture(50, 41), Model.open(make_model("invert"))
    original = picture.pixels.astype(int)
    np.testing.assert_array_equal(model(picture, amount=0).pixels, original)
    quarter = model(picture, amount=0.25, consume=consume).pixels
    np.testing.assert_array_equal(quarter, np.floor(0.75 * original + 0.25 * (255 - original) + 0.5))


def test_amount_zero_is_a_picture_of_its_own(make_model: MakeModel) -> None:
    picture = random_picture(5, 5, bits=16)
    result = Model.open(make_model("invert"))(picture, amount=0)
    assert not np.shares_memory(result.pixels, picture.pixels)


@pytest.mark.parametrize("amount", [-0.1, 1.1, float("nan")])
def test_amount_out_of_range_is_refused(make_model: MakeModel, amount: float) -> None:
    with pytest.raises(ValueError, match="amount"):
        Model.open(make_model("identity"))(random_picture(2, 2), amount=amount)


def test_an_enlarged_picture_cannot_be_blended(make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match="enlarges"):
        Model.open(make_model("double"))(random_picture(2, 2), amount=0.5)


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_is_carried_over(make_model: MakeModel, bits: int) -> None:
    picture = random_picture(20, 30, bits=bits, alpha=True)
    result = Model.open(make_model("invert"))(picture)
    assert picture.alpha is not None
    assert result.alpha is not None
    np.testing.assert_array_equal(result.alpha, picture.alpha)
    enlarged = Model.open(make_model("double"))(picture)
    assert enlarged.alpha is not None
    assert enlarged.alpha.shape == (40, 60)
    assert enlarged.alpha.dtype == picture.alpha.dtype
    assert abs(enlarged.alpha.mean() - picture.alpha.mean()) < 0.02 * 2**bits


def test_progress_counts_the_tiles(make_model: MakeModel, small_tiles: None) -> None:
    model, calls = Model.open(make_model("blur")), list[tuple[int, int]]()
    model(random_picture(60, 60), progress=lambda done, total: calls.append((done, total)))
    total = len(model._grid(60, 60, 0))
    assert total > 4
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_pil_images_paths_and_bytes(make_model: MakeModel, tmp_path: Path) -> None:
    model, image = Model.open(make_model("invert")), Image.effect_noise((30, 20), 50).convert("RGB")
    expected = 255 - np.asarray(image)
    translated = model(image)
    assert isinstance(translated, Image.Image)
    np.testing.assert_array_equal(np.asarray(translated), expected)
    np.testing.assert_array_equal(255 - expected, np.asarray(image))
    image.save(tmp_path / "a.png")
    for source in (
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        (tmp_path / "a.png").read_bytes(),
        (tmp_path / "a.png").open("rb"),
    ):
        result = model(source)
        assert isinstance(result, Picture)
        assert result.format == "PNG"
        np.testing.assert_array_equal(result.pixels, expected)


# Noise


def test_a_seed_repeats_the_picture_and_no_seed_does_not(make_model: MakeModel) -> None:
    picture, model = random_picture(40, 40), Model.open(make_model("noisy"))
    np.testing.assert_array_equal(model(picture, seed=5).pixels, model(picture, seed=5).pixels)
    assert (model(picture, seed=5).pixels != model(picture, seed=6).pixels).any()
    assert (model(picture).pixels != model(picture).pixels).any()


@pytest.mark.parametrize(("height", "width"), [(70, 45), (45, 70), (3, 200)])
def test_noise_does_not_depend_on_the_tiles(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, height: int, width: int
) -> None:
    picture, model = random_picture(height, width), Model.open(make_model("noisy"))
    in_one_piece = model(picture, seed=3).pixels
    monkeypatch.setattr(tiles, "SIDE", 16)
    assert len(model._grid(height, width, 0)) > 1
    np.testing.assert_array_equal(model(picture, seed=3).pixels, in_one_piece)


def test_a_model_without_noise_ignores_the_seed(make_model: MakeModel) -> None:
    picture, model = random_picture(9, 9), Model.open(make_model("blur"))
    np.testing.assert_array_equal(model(picture, seed=1).pixels, model(picture, seed=2).pixels)
