"""TIFF in its many shapes, read like other programs read it, and written so that they can."""

import io
import itertools
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.runtime import pictures
from translate.runtime.errors import CorruptPicture, UnsupportedPicture
from translate.runtime.picture import Picture


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma"])
def test_all_lossless_kinds_come_back_equal(compression: str | None, channels: int, bits: int) -> None:
    for alpha, predictor in itertools.product((0, 1), (False, True)):
        samples = pictures.samples((37, 21, channels + alpha)[: 2 if channels + alpha == 1 else 3], bits)
        options: dict[str, Any] = {"photometric": "rgb" if channels == 3 else "minisblack", "rowsperstrip": 5}
        options |= {"predictor": predictor and compression not in (None, "packbits"), "compression": compression}
        if alpha:
            options |= {"extrasamples": ["unassalpha"], "planarconfig": "contig"}
        picture = Picture.open(pictures.tiff(samples, **options))
        written = picture.encode()
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(written)), samples)
        again = Picture.open(written)
        np.testing.assert_array_equal(again.pixels, picture.pixels)
        assert (again.alpha is not None) == bool(alpha)
        if compression in (None, "lzw", "zlib"):
            assert again.meta.tiff == picture.meta.tiff


@pytest.mark.parametrize(
    "options",
    [
        {"bigtiff": True},
        {"byteorder": ">"},
        {"byteorder": ">", "bigtiff": True, "compression": "zlib", "predictor": True},
        {"tile": (16, 32)},
        {"tile": (16, 16), "compression": "lzw"},
        {"tile": (64, 64), "compression": "zlib"},
    ],
)
def test_layouts(options: dict[str, Any]) -> None:
    samples = pictures.samples((37, 21, 3), 16)
    np.testing.assert_array_equal(Picture.open(pictures.tiff(samples, **options)).pixels, samples)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_are_interleaved(compression: str | None) -> None:
    samples = pictures.samples((3, 37, 21), 16)
    picture = Picture.open(pictures.tiff(samples, planarconfig="separate", photometric="rgb", compression=compression))
    np.testing.assert_array_equal(picture.pixels, np.moveaxis(samples, 0, 2))
    np.testing.assert_array_equal(Picture.open(picture.encode()).pixels, picture.pixels)


@pytest.mark.parametrize("bits", [8, 16])
def test_min_is_white_is_inverted(bits: int) -> None:
    samples = pictures.samples((9, 9), bits)
    picture = Picture.open(pictures.tiff(samples, photometric="miniswhite"))
    np.testing.assert_array_equal(picture.pixels[..., 0], 2**bits - 1 - samples)
    np.testing.assert_array_equal(Picture.open(picture.encode()).pixels, picture.pixels)


@pytest.mark.parametrize("bits", [8, 16])
def test_colours_multiplied_by_alpha_are_divided_by_it(bits: int) -> None:
    most = 2**bits - 1
    straight = pictures.samples((16, 16, 3), bits)
    alpha = np.maximum(pictures.samples((16, 16), bits, seed=1), most // 2)
    multiplied = np.rint(straight * (alpha[..., None] / most)).astype(straight.dtype)
    data = pictures.tiff(np.dstack([multiplied, alpha]), extrasamples=["assocalpha"])
    picture = Picture.open(data)
    assert np.abs(picture.pixels.astype(int) - straight).max() <= 1
    np.testing.assert_array_equal(picture.alpha, alpha)
    with tifffile.TiffFile(io.BytesIO(picture.encode())) as written:
        assert written.pages.first.extrasamples == (2,)


def test_an_unspecified_channel_is_carried_but_is_no_opacity() -> None:
    samples = pictures.samples((9, 9, 4), 16)
    picture = Picture.open(pictures.tiff(samples, extrasamples=["unspecified"]))
    written = picture.encode()
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(written)), samples)
    with tifffile.TiffFile(io.BytesIO(written)) as file:
        assert file.pages.first.extrasamples == (0,)
    png = Picture.open(picture.encode("PNG"))
    np.testing.assert_array_equal(png.pixels, samples[..., :3])
    assert png.alpha is None
    assert any("left out" in warning for warning in picture.warnings)


def test_pages_are_refused_with_their_number() -> None:
    data = pictures.tiff(pictures.samples((3, 8, 8)), photometric="minisblack")
    with pytest.raises(UnsupportedPicture, match="3 pages"):
        Picture.open(data)


def test_a_small_copy_beside_the_picture_is_no_page() -> None:
    stream = io.BytesIO()
    samples = pictures.samples((16, 16, 3), 16)
    with tifffile.TiffWriter(stream) as writer:
        writer.write(samples[::4, ::4], photometric="rgb", subfiletype=1)
        writer.write(samples, photometric="rgb")
        writer.write(samples[::2, ::2], photometric="rgb", subfiletype=1)
    np.testing.assert_array_equal(Picture.open(stream.getvalue()).pixels, samples)


@pytest.mark.parametrize(
    ("samples", "word"),
    [
        (np.zeros((4, 4), np.float32), "floating-point"),
        (np.zeros((4, 4), np.int16), "signed"),
        (np.zeros((4, 4), np.uint32), "32 bits"),
        (np.zeros((4, 4, 5), np.uint8), "5 samples"),
        (np.zeros((4, 4), np.complex64), "complex"),
    ],
)
def test_other_samples_are_refused_in_words(samples: np.ndarray, word: str) -> None:
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": "contig"} if samples.ndim == 3 else {}
    with pytest.raises(UnsupportedPicture, match=word):
        Picture.open(pictures.tiff(samples, **options))


@pytest.mark.parametrize(
    ("mode", "compression"),
    [("1", "group4"), ("1", "group3"), ("1", "raw"), ("L", "jpeg"), ("RGB", "jpeg"), ("P", "tiff_lzw"), ("CMYK", "tiff_deflate")],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_pillow_reads_is_read_alike(mode: str, compression: str, orientation: int) -> None:
    image = Image.fromarray(pictures.smooth(24, 40)).convert(mode)
    data = pictures.file(image, "TIFF", compression=compression, tiffinfo={0x0112: orientation})
    expected = Image.open(io.BytesIO(data))
    expected.load()  # turns it
    picture = Picture.open(data)
    assert picture.pixels.shape[:2] == ((24, 40) if orientation == 1 else (40, 24))
    np.testing.assert_array_equal(picture.to_pil().convert("RGB"), expected.convert("RGB"))
    assert pictures.directories(picture.meta.exif)[0][0x0112] == 1 if picture.meta.exif else orientation == 1


def test_tags_survive_from_big_endian_to_little() -> None:
    samples = pictures.samples((9, 9, 3), 16)
    geo = (33550, "d", 3, (0.5, 0.25, 0.0), True)
    data = pictures.tiff(
        samples, byteorder=">", resolution=((118, 1), (237, 2)), resolutionunit="centimeter", extratags=[geo], software="scanner"
    )
    with tifffile.TiffFile(io.BytesIO(Picture.open(data).encode())) as written:
        tags = {tag.code: tag.value for tag in written.pages.first.tags.values()}
    assert tags[33550] == (0.5, 0.25, 0.0)
    assert (tags[282], tags[283], tags[296]) == ((118, 1), (237, 2), 3)
    assert tags[305] == "scanner"
    assert Picture.open(data).meta.dpi == pytest.approx((118 * 2.54, 118.5 * 2.54))


def test_iptc_xmp_and_profile_are_written_where_programs_look() -> None:
    picture = Picture.open(
        pictures.tiff(pictures.samples((9, 9, 3), 16), extratags=[(33723, 7, len(pictures.IPTC), pictures.IPTC, True)])
    )
    assert picture.meta.iptc == pictures.IPTC
    with tifffile.TiffFile(io.BytesIO(picture.encode())) as written:
        assert bytes(written.pages.first.tags[33723].value) == pictures.IPTC
    jpeg = Image.open(io.BytesIO(picture.encode("JPEG")))
    assert jpeg.info["photoshop"][0x0404] == pictures.IPTC


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_cut_files_are_corrupt(compression: str | None) -> None:
    with tifffile.TiffFile(io.BytesIO(data := pictures.tiff(pictures.samples((64, 64)), compression=compression))) as file:
        start = file.pages.first.dataoffsets[0]
    with pytest.raises(CorruptPicture):
        Picture.open(data[: start + (len(data) - start) // 2])


def test_pages_in_a_circle_end() -> None:
    data = bytearray(Picture(pictures.samples((4, 4, 3))).encode("TIFF"))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * count : first + 6 + 12 * count] = data[4:8]
    assert Picture.open(bytes(data)).pixels.shape == (4, 4, 3)
