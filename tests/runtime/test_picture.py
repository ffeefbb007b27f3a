"""What a photograph had is there again after opening and saving it, in every format."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngInfo

from tests.runtime import pictures
from translate.runtime.errors import PictureTooLarge, UnsupportedPicture
from translate.runtime.picture import FORMATS, Metadata, Picture

RICH = ("JPEG", "PNG", "WEBP", "TIFF")
"""Formats that hold EXIF, ICC profile and XMP."""


def rich(format: str, orientation: int = 1) -> bytes:
    block = pictures.exif(orientation, width=40, height=24)
    options: dict[str, Any] = {"icc_profile": pictures.SRGB, "dpi": (300, 200)}
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
        before, after = (JpegImageFile(io.BytesIO(d)) for d in (data, Picture.open(data).encode()))
        assert after.quantization == before.quantization
        assert after.layer == before.layer
        told = JpegImageFile(io.BytesIO(Picture.open(data).encode(quality=95)))
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


def test_more_pictures_in_one_jpeg_are_named() -> None:
    frames = [Image.fromarray(pictures.smooth(16, 16))] * 2
    picture = Picture.open(pictures.file(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert picture.format == "JPEG"
    assert any("more pictures" in warning for warning in picture.warnings)
    assert picture.encode().count(b"MPF\0") == 0


def test_colour_chunks_and_texts_of_a_png_stay() -> None:
    texts = Image.new("RGB", (4, 4))
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


@pytest.mark.parametrize(
    ("marker", "bits", "kind"), [(0xC3, 8, "lossless"), (0xF7, 8, "JPEG-LS"), (0xC1, 12, "12-bit"), (0xC2, 8, None)]
)
def test_a_rare_kind_of_jpeg_is_not_called_damaged(marker: int, bits: int, kind: str | None) -> None:
    data = pictures.file(pictures.smooth(16, 16), "JPEG", progressive=kind is None)
    at = data.index(b"\xff\xc2" if kind is None else b"\xff\xc0")
    made = data[: at + 1] + bytes([marker]) + data[at + 2 : at + 4] + bytes([bits]) + data[at + 5 :]
    if kind is None:
        assert Picture.open(made).pixels.shape == (16, 16, 3)
    else:
        with pytest.raises(UnsupportedPicture, match=kind):
            Picture.open(made)


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


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of a file's size")
@pytest.mark.parametrize("suffix", [suffixes[0] for suffixes, _ in FORMATS.values()])
def test_a_file_that_is_cut_short_is_an_error(suffix: str, tmp_path: Path) -> None:
    import resource  # not on Windows

    picture, target = Picture(pictures.samples((150, 160, 3))), tmp_path / f"a{suffix}"
    picture.save(target)
    size = target.stat().st_size
    target.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (size // 2, size - size // 50, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
                picture.save(target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not list(tmp_path.iterdir())


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


def test_opening_a_jpeg_loads_neither_torch_nor_tifffile(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(pictures.file(pictures.smooth(8, 8), "JPEG"))
    program = "import sys; from translate.runtime.picture import Picture; Picture.open(sys.argv[1]).encode();"
    program += "print([name for name in ('torch', 'tifffile', 'imagecodecs', 'pillow_heif') if name in sys.modules])"
    command = [sys.executable, "-c", program, str(tmp_path / "a.jpg")]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip() == "[]"


def test_an_array_is_no_picture_and_is_told_how_to_become_one() -> None:
    with pytest.raises(TypeError, match="fromarray"):
        Picture.open(pictures.smooth(4, 4))  # type: ignore[arg-type]
