"""What a photograph had is there again after opening and saving it, in every format."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from tests.runtime import pictures
from translate.runtime.errors import PictureTooLarge, UnsupportedPicture
from translate.runtime.picture import FORMATS, Metadata, Picture

RICH = ("JPEG", "PNG", "WEBP", "TIFF")
"""Formats that hold EXIF, ICC profile and XMP."""


def rich(format: str, orientation: int = 1) -> bytes:
    block = pictures.exif(orientation, width=40, height=24)
    options = {"icc_profile": pictures.SRGB, "dpi": (300, 200)}
    if format == "TIFF":
        tags = Image.Exif()
        tags.load(block)
        return pictures.file(pictures.smooth(24, 40), "TIFF", exif=tags, **options)
    if format != "PNG":
        options["xmp"] = pictures.XMP
    if format == "WEBP":
        options |= {"lossless": True, "exact": True}
    return pictures.file(pictures.smooth(24, 40), format, exif=block, **options)


@pytest.mark.parametrize("target", RICH)
@pytest.mark.parametrize("source", RICH)
def test_exif_profile_and_xmp_survive_between_all_formats(source: str, target: str) -> None:
    picture = Picture.open(rich(source))
    again = Picture.open(picture.encode(target))
    assert again.format == target
    assert again.meta.icc == pictures.SRGB
    assert again.meta.xmp == (pictures.XMP if source in ("JPEG", "WEBP") else b"")
    main, inner, place = pictures.directories(again.meta.exif)
    assert main[0x010F] == "Leica"
    assert inner[0x9003] == "1999:12:31 23:59:59"
    assert inner[0x927C] == pictures.MAKER_NOTE
    assert place[2] == (52.0, 13.0, 30.5)
    assert picture.warnings == []
    if source != "WEBP" and target != "WEBP":
        assert again.meta.dpi == pytest.approx((300, 200), abs=0.02)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_of_an_upright_picture_stays_byte_for_byte(format: str) -> None:
    block = pictures.exif(1, width=40, height=24)
    picture = Picture.open(pictures.file(pictures.smooth(24, 40), format, exif=block))
    assert Picture.open(picture.encode()).meta.exif == block


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_the_pixels_once(format: str, orientation: int) -> None:
    data = rich(format, orientation)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    picture = Picture.open(data)
    np.testing.assert_array_equal(picture.pixels, expected)
    again = Picture.open(picture.encode())
    assert again.pixels.shape == picture.pixels.shape
    assert np.abs(again.pixels.astype(int) - expected).max() <= (8 if format == "JPEG" else 0)
    main, inner, _ = pictures.directories(again.meta.exif)
    assert main[0x0112] == 1
    assert (inner[0xA002], inner[0xA003]) == (picture.width, picture.height)
    if picture.meta.xmp and orientation > 1:
        assert b'tiff:Orientation="1"' in picture.meta.xmp


@pytest.mark.parametrize("orientation", range(1, 9))
def test_alpha_turns_with_the_pixels(orientation: int) -> None:
    samples = pictures.samples((5, 7, 4))
    data = pictures.file(samples, "PNG", exif=pictures.exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    picture = Picture.open(Picture.open(data).encode())
    assert picture.alpha is not None
    np.testing.assert_array_equal(np.dstack([picture.pixels, picture.alpha]), expected)


def test_a_stale_thumbnail_is_gone_and_the_rest_stays() -> None:
    thumbnail = pictures.file(pictures.smooth(8, 8), "JPEG")
    block = pictures.exif(6, 40, 24)
    data = pictures.file(pictures.smooth(24, 40), "JPEG", exif=pictures.with_thumbnail(block, thumbnail))
    assert thumbnail in data
    result = Picture.open(data).encode()
    assert thumbnail not in result
    assert thumbnail[2:200] not in result
    read = Image.open(io.BytesIO(result)).getexif()
    assert not read.get_ifd(1)
    assert read.get_ifd(0x8769)[0x927C] == pictures.MAKER_NOTE


def test_a_jpeg_keeps_its_tables_and_subsampling() -> None:
    for quality, subsampling in ((37, 0), (92, 1), (75, 2)):
        data = pictures.file(pictures.smooth(64, 64), "JPEG", quality=quality, subsampling=subsampling)
        before, after = (Image.open(io.BytesIO(d)) for d in (data, Picture.open(data).encode()))
        assert after.quantization == before.quantization
        assert after.layer == before.layer
        told = Image.open(io.BytesIO(Picture.open(data).encode(quality=95)))
        assert sum(told.quantization[0]) < sum(before.quantization[0])


def test_iptc_comments_and_extended_xmp_of_a_jpeg_stay() -> None:
    data = pictures.file(pictures.smooth(16, 16), "JPEG", comment=b"to Anna")
    extended = b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"more"
    extra = pictures.segment(0xED, b"Photoshop 3.0\0" + pictures.photoshop(pictures.IPTC)) + pictures.segment(0xE1, extended)
    picture = Picture.open(data[:2] + extra + data[2:])
    assert picture.meta.iptc == pictures.IPTC
    result = picture.encode()
    assert b"to Anna" in result
    assert extended in result
    assert b"old thumbnail" not in result
    for format in ("JPEG", "PNG", "TIFF"):
        assert Picture.open(picture.encode(format)).meta.iptc == pictures.IPTC
    picture.encode("WEBP")
    assert any("IPTC" in warning for warning in picture.warnings)


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
    picture = Picture.open(pictures.file(image, "TIFF"))
    assert np.abs(picture.pixels.astype(int) - pictures.smooth(24, 24)).mean() < 1.5


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_the_first_picture_of_an_animation_with_a_warning(format: str) -> None:
    frames = [Image.fromarray(pictures.samples((8, 8, 3), seed=seed)) for seed in range(3)]
    picture = Picture.open(pictures.file(frames[0], format, save_all=True, append_images=frames[1:], lossless=True))
    np.testing.assert_array_equal(picture.pixels, np.asarray(frames[0]))
    assert any("animation" in warning for warning in picture.warnings)


def test_more_pictures_in_one_jpeg_are_named() -> None:
    frames = [Image.fromarray(pictures.smooth(16, 16))] * 2
    picture = Picture.open(pictures.file(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert picture.format == "JPEG"
    assert any("more pictures" in warning for warning in picture.warnings)
    assert picture.encode().count(b"MPF\0") == 0


def test_colour_chunks_and_texts_of_a_png_stay() -> None:
    texts = Image.new("RGB", (4, 4))
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Author", "Ansel")
    info.add(b"gAMA", (45455).to_bytes(4))
    result = Image.open(io.BytesIO(Picture.open(pictures.file(texts, "PNG", pnginfo=info)).encode()))
    result.load()
    assert result.info["Author"] == "Ansel"
    assert result.info["gamma"] == pytest.approx(0.45455)


def test_avif_is_read_and_written_as_jpeg() -> None:
    picture = Picture.open(pictures.file(pictures.smooth(32, 48), "AVIF", quality=95, exif=pictures.exif(6, 48, 32)))
    assert (picture.format, picture.default_format, picture.pixels.shape) == ("AVIF", "JPEG", (48, 32, 3))
    assert Picture.open(picture.encode()).format == "JPEG"


def test_heic_keeps_its_bits_and_exif() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    values = (pictures.smooth(64, 64).astype(np.uint16) * 4) << 6
    heif = pillow_heif.from_bytes(mode="RGB;16", size=(64, 64), data=values.tobytes())
    stream = io.BytesIO()
    heif.save(stream, quality=-1, exif=b"Exif\0\0" + pictures.exif(6), chroma=444)
    picture = Picture.open(stream.getvalue())
    assert (picture.format, picture.bits, picture.default_format) == ("HEIF", 16, "PNG")
    assert np.abs(picture.pixels.astype(int) - np.rot90(values, -1)).max() < 2500  # libheif has turned it
    assert pictures.directories(picture.meta.exif)[0][0x0112] == 1


def test_heic_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnsupportedPicture, match="pillow-heif"):
        Picture.open(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))


def test_save_keeps_the_date_and_leaves_no_other_file(tmp_path: Path) -> None:
    folder = tmp_path / "Größe 写真" / ("n" * 100)
    folder.mkdir(parents=True)
    source, target = folder / "é.jpg", folder / ("x" * 250 + ".png")
    source.write_bytes(pictures.file(pictures.smooth(16, 16), "JPEG"))
    os.utime(source, ns=(10**18, 10**18 + 123_000))
    Picture.open(source).save(target)
    assert target.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert Picture.open(str(target)).format == "PNG"
    assert sorted(path.name for path in folder.iterdir()) == sorted([source.name, target.name])


def test_a_failed_save_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"precious")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        Picture(pictures.samples((4, 4, 3))).save(target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


def test_the_content_decides_the_format_and_the_suffix_the_target(tmp_path: Path) -> None:
    wrong = tmp_path / "really-a-png.jpg"
    wrong.write_bytes(pictures.file(pictures.smooth(8, 8), "PNG"))
    picture = Picture.open(wrong)
    assert picture.format == "PNG"
    for format, (suffixes, _) in FORMATS.items():
        for suffix in suffixes:
            picture.save(tmp_path / f"out{suffix.upper()}")
            assert Picture.open(tmp_path / f"out{suffix.upper()}").format == format
    with pytest.raises(UnsupportedPicture, match="JPEG, PNG"):
        picture.save(tmp_path / "a.gif")
    with pytest.raises(UnsupportedPicture, match="JPEG, PNG"):
        picture.encode("HEIF")
    with pytest.raises(ValueError, match="1 to 100"):
        picture.encode("JPEG", quality=101)


def test_binary_files_and_bytes_are_read_like_paths(tmp_path: Path) -> None:
    data = pictures.file(pictures.smooth(8, 8), "PNG")
    (tmp_path / "a").write_bytes(data)
    for source in (data, io.BytesIO(data), tmp_path / "a", str(tmp_path / "a")):
        np.testing.assert_array_equal(Picture.open(source).pixels, pictures.smooth(8, 8))


def test_the_pixel_limit_is_found_before_decoding() -> None:
    for data in (
        *(Picture(pictures.smooth(20, 30)).encode(format) for format in FORMATS),
        pictures.file(pictures.smooth(20, 30), "AVIF"),
    ):
        assert Picture.open(data, max_pixels=600).height == 20
        with pytest.raises(PictureTooLarge, match="30 × 20"):
            Picture.open(data, max_pixels=599)


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


def test_from_pil_turns_and_keeps_exif() -> None:
    data = pictures.file(pictures.smooth(8, 12), "PNG", exif=pictures.exif(6))
    back = Picture.from_pil(Image.open(io.BytesIO(data))).to_pil()
    assert back.size == (8, 12)
    assert back.getexif()[0x0112] == 1


def test_with_pixels_keeps_what_belongs_to_the_photograph() -> None:
    picture = Picture(pictures.samples((4, 6, 3)), pictures.samples((4, 6)), Metadata(icc=b"profile"))
    other = picture.with_pixels(pictures.samples((4, 6, 1)))
    assert (other.meta, other.alpha is picture.alpha) == (picture.meta, True)
    assert picture.with_pixels(pictures.samples((8, 12, 3)), alpha=None).alpha is None
    with pytest.raises(ValueError, match="alpha"):
        picture.with_pixels(pictures.samples((8, 12, 3)))


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


def test_opening_a_jpeg_loads_neither_torch_nor_tifffile(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(pictures.file(pictures.smooth(8, 8), "JPEG"))
    program = "import sys; from translate.runtime.picture import Picture; Picture.open(sys.argv[1]).encode();"
    program += "print([name for name in ('torch', 'tifffile', 'imagecodecs', 'pillow_heif') if name in sys.modules])"
    command = [sys.executable, "-c", program, str(tmp_path / "a.jpg")]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip() == "[]"
