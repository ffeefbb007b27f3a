"""Every bit of the pixels, whatever the format, depth, palette or colour model."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tests.runtime import pictures
from translate.runtime.errors import UnsupportedPicture
from translate.runtime.picture import FORMATS, Metadata, Picture


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_lossless_formats_keep_every_bit(format: str, bits: int, channels: int) -> None:
    samples = pictures.samples((19, 23, channels), bits)
    alpha = samples[..., -1] if channels in (2, 4) else None
    picture = Picture(samples if alpha is None else samples[..., :-1], alpha, Metadata(icc=pictures.SRGB, xmp=pictures.XMP))
    again = Picture.open(picture.encode(format))
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    assert (again.bits, again.grey, again.meta.icc, again.meta.xmp) == (bits, channels < 3, pictures.SRGB, pictures.XMP)
    if alpha is None:
        assert again.alpha is None
    else:
        np.testing.assert_array_equal(again.alpha, alpha)


def test_every_16_bit_value_survives() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    for format in ("PNG", "TIFF"):
        np.testing.assert_array_equal(Picture.open(Picture(values).encode(format)).pixels, values)


def test_16_bits_are_rounded_not_truncated_where_a_format_holds_8() -> None:
    values = np.repeat(np.arange(256, dtype=np.uint16), 3)[:, None, None] * 257
    values[1::3] = np.minimum(values[1::3], 65535 - 100) + 100  # still nearest to the same
    values[2::3] = np.maximum(values[2::3], 100) - 100
    picture = Picture(values)
    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(Picture.open(picture.encode("BMP")).pixels, expected)
    assert any("8 bits" in warning for warning in picture.warnings)


def test_alpha_is_laid_over_white_where_a_format_has_none() -> None:
    pixels = np.full((8, 8, 3), 100, np.uint8)
    picture = Picture(pixels, np.repeat(np.array([[0, 128, 255, 255]], np.uint8), 2).reshape(1, 8).repeat(8, axis=0))
    result = Picture.open(picture.encode("BMP"))
    np.testing.assert_array_equal(result.pixels[0, ::2, 0], [255, 177, 100, 100])
    assert result.alpha is None
    assert any("alpha" in warning for warning in picture.warnings)


def test_grey_stays_grey() -> None:
    grey = pictures.smooth(20, 30)[..., :1]
    for format in ("JPEG", "PNG", "TIFF", "BMP"):
        assert Picture.open(Picture(grey).encode(format)).grey
    assert Picture.open(pictures.file(Image.fromarray(grey[..., 0]).convert("1"), "PNG")).grey


@pytest.mark.parametrize("colours", [2, 4, 16, 200])
def test_palettes_become_their_colours(colours: int) -> None:
    image = Image.fromarray(pictures.smooth(20, 30)).quantize(colours)
    for format in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(Picture.open(pictures.file(image, format)).pixels, np.asarray(image.convert("RGB")))


def test_transparent_colours_and_palettes_become_alpha() -> None:
    image = Image.fromarray(pictures.smooth(20, 30)).quantize(8)
    for data in (
        pictures.file(image, "PNG", transparency=bytes([0, 90, 255])),
        pictures.file(Image.fromarray(pictures.samples((9, 9)) // 64), "PNG", transparency=2),
        pictures.file(Image.fromarray(pictures.samples((9, 9, 3)) // 200), "PNG", transparency=(0, 1, 0)),
    ):
        picture = Picture.open(data)
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
        assert picture.alpha is not None
        np.testing.assert_array_equal(np.broadcast_to(picture.pixels, (*picture.alpha.shape, 3)), expected[..., :3])
        np.testing.assert_array_equal(picture.alpha, expected[..., 3])


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_as_lossless_as_it_was(lossless: bool) -> None:
    samples = pictures.samples((16, 16, 4))
    picture = Picture.open(pictures.file(samples, "WEBP", lossless=lossless, exact=True))
    assert picture.meta.lossless == lossless
    again = Picture.open(picture.encode())
    assert again.meta.lossless == lossless
    np.testing.assert_array_equal(again.alpha, samples[..., 3])
    if lossless:
        np.testing.assert_array_equal(again.pixels, samples[..., :3])


def test_cmyk_jpeg_is_converted_like_its_profile_says() -> None:
    cmyk = Image.fromarray(pictures.smooth(24, 24)).convert("CMYK")
    picture = Picture.open(pictures.file(cmyk, "JPEG", quality=98))
    assert np.abs(picture.pixels.astype(int) - pictures.smooth(24, 24)).max() < 24  # an inverted one would be far off
    assert picture.meta.icc == b""
    assert any("CMYK" in warning for warning in picture.warnings)
    assert Picture.open(picture.encode()).pixels.shape == (24, 24, 3)


def test_lab_tiff_is_converted_to_srgb() -> None:
    lab = ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(
        Image.fromarray(pictures.smooth(24, 24)), ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
    )
    assert image is not None
    picture = Picture.open(pictures.file(image, "TIFF"))
    assert np.abs(picture.pixels.astype(int) - pictures.smooth(24, 24)).mean() < 1.5


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_the_first_picture_of_an_animation_with_a_warning(format: str) -> None:
    frames = [Image.fromarray(pictures.samples((8, 8, 3), seed=seed)) for seed in range(3)]
    picture = Picture.open(pictures.file(frames[0], format, save_all=True, append_images=frames[1:], lossless=True))
    np.testing.assert_array_equal(picture.pixels, np.asarray(frames[0]))
    assert any("animation" in warning for warning in picture.warnings)


def test_pictures_beyond_a_format_are_refused() -> None:
    with pytest.raises(UnsupportedPicture, match="16383"):
        Picture(np.zeros((20_000, 1, 1), np.uint8)).encode("WEBP")
    for format in ("JPEG", "PNG", "TIFF", "BMP"):
        assert Picture.open(Picture(np.zeros((20_000, 1, 1), np.uint8)).encode(format)).height == 20_000


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_pil_images_come_and_go(mode: str) -> None:
    image = Image.fromarray(pictures.smooth(8, 12)).convert(mode)
    image.info["icc_profile"] = b"" if mode == "CMYK" else pictures.SRGB
    back = Picture.from_pil(image).to_pil()
    expected = image.convert({"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode))
    np.testing.assert_array_equal(np.asarray(back), np.asarray(expected))
    assert back.info.get("icc_profile", b"") == image.info["icc_profile"]


def test_pil_images_of_16_bits_lose_none() -> None:
    values = pictures.samples((5, 7), 16)
    for image in (Image.fromarray(values), Image.fromarray(values.astype(">u2"))):
        back = Picture.from_pil(image).to_pil()
        assert back.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(back), values)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pil_images_of_other_numbers_are_refused(mode: str) -> None:
    with pytest.raises(UnsupportedPicture, match=f"mode {mode}: convert"):
        Picture.from_pil(Image.new(mode, (3, 3)))


@pytest.mark.parametrize("pixels", [np.zeros((3, 3)), np.zeros((3, 3, 2), np.uint8), np.zeros((0, 3, 3), np.uint8)])
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pixels are"):
        Picture(pixels)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.sampled_from([8, 16]),
    st.integers(0, 2**32 - 1),
)
def test_views_with_any_strides_are_written_alike(
    height: int, width: int, channels: int, veiled: bool, bits: int, seed: int
) -> None:
    base = pictures.samples((width, height, channels + veiled), bits, seed)[::-1].swapaxes(0, 1)
    picture = Picture(base[..., :channels], base[..., -1] if veiled else None)
    plain = Picture(np.ascontiguousarray(picture.pixels), None if not veiled else np.ascontiguousarray(base[..., -1]))
    for format in FORMATS:
        assert picture.encode(format) == plain.encode(format)
