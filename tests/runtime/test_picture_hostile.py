"""Whatever the bytes are, a picture or one of three errors comes out, at bounded memory."""

import io
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.runtime import pictures
from translate.runtime import codecs
from translate.runtime.codecs.png import SIGNATURE
from translate.runtime.errors import CorruptPicture, OutOfMemory, PictureError, PictureTooLarge, UnsupportedPicture
from translate.runtime.picture import FORMATS, Metadata, Picture


def seeds() -> dict[str, bytes]:
    """A small valid file of every kind, with metadata to damage."""
    rgb, deep = pictures.smooth(24, 31), pictures.samples((24, 31, 3), 16)
    block = pictures.with_thumbnail(pictures.exif(6, 31, 24), pictures.file(rgb[:8, :8], "JPEG"))
    meta = Metadata(exif=block, icc=pictures.SRGB, xmp=pictures.XMP, photoshop=pictures.photoshop(pictures.IPTC))
    files = {name: Picture(rgb, None, meta).encode(name) for name in FORMATS}
    files |= {f"{name} 16": Picture(deep, deep[..., 0], meta).encode(name) for name in ("PNG", "TIFF")}
    files |= {
        f"tiled {name}": pictures.tiff(deep, compression=name, tile=(16, 16)) for name in ("lzw", "zlib", "packbits", "zstd")
    }
    for mode, compression in (("1", "group4"), ("P", "tiff_lzw"), ("RGB", "jpeg"), ("CMYK", "raw")):
        files[f"TIFF {mode}"] = pictures.file(Image.fromarray(rgb).convert(mode), "TIFF", compression=compression)
    files["CMYK JPEG"] = pictures.file(Image.fromarray(rgb).convert("CMYK"), "JPEG")
    files["palette BMP"] = pictures.file(Image.fromarray(rgb).quantize(16), "BMP")
    files["lossless WebP"] = pictures.file(rgb, "WEBP", lossless=True, exif=block)
    files["AVIF"] = pictures.file(rgb, "AVIF", exif=block)
    return files


SEEDS = seeds()


def outcome(data: bytes) -> type[PictureError] | None:
    """None where it is a picture, which then can be written in every format; its error otherwise."""
    try:
        picture = Picture.open(data)
    except (UnsupportedPicture, CorruptPicture, PictureTooLarge) as error:
        return type(error)
    for format in FORMATS if max(picture.pixels.shape) <= 16383 else ("TIFF",):
        picture.encode(format)
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SEEDS)
def test_flipped_bytes_never_crash(kind: str) -> None:
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    assert outcome(SEEDS[kind]) is None
    for turn in range(40):
        data = bytearray(SEEDS[kind])
        reach = len(data) if turn % 2 else min(len(data), 300)
        for place in rng.integers(0, reach, rng.integers(1, 6)):
            data[place] = (0, 255, int(rng.integers(0, 256)))[turn % 3]
        outcome(bytes(data))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SEEDS)
def test_cut_files_never_crash(kind: str) -> None:
    data = SEEDS[kind]
    for end in np.random.default_rng(0).integers(0, len(data), 25):
        outcome(data[:end])
    third = data[: len(data) // 3]
    assert outcome(third) in (CorruptPicture, UnsupportedPicture) or Picture.open(third).warnings


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", SIGNATURE, b"RIFF\x40\0\0\0WEBP", b"II*\0", b"MM\0+", b"BM", b"\0\0\0\x18ftypavif"]),
    st.binary(max_size=200),
)
def test_any_bytes_give_one_of_the_errors(head: bytes, tail: bytes) -> None:
    assert outcome(head + tail) is not None


def test_what_is_no_picture_is_unsupported() -> None:
    gif = pictures.file(pictures.smooth(8, 8), "GIF")
    for data in (b"", b"\0", b"%PDF-1.7", b"<svg/>", gif, bytes(1000)):
        assert outcome(data) is UnsupportedPicture


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_left_out_with_a_warning() -> None:
    picture = Picture.open(pictures.file(pictures.smooth(8, 8), "JPEG", exif=b"II*\0\xff\xff\xff\x7f"))
    assert picture.meta.exif == b""
    assert any("EXIF" in warning for warning in picture.warnings)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def huge_png() -> bytes:
    return (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"")
        + chunk(b"IEND", b"")
    )


def test_huge_headers_are_refused_before_decoding() -> None:
    bmp = bytearray(SEEDS["BMP"])
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    jpeg = pictures.file(pictures.smooth(8, 8), "JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    for data in (huge_png(), bytes(bmp), jpeg[:frame] + struct.pack(">HH", 60_000, 60_000) + jpeg[frame + 4 :]):
        assert outcome(data) is PictureTooLarge


def test_bombs_in_metadata_and_strips_do_no_harm() -> None:
    """Each of these grows to 256 MB where it is inflated without a bound; a separate process shows its peak."""
    bomb = zlib.compressobj(1)
    packed = b"".join([*(bomb.compress(bytes(1 << 20)) for _ in range(256)), bomb.flush()])
    png = pictures.file(pictures.smooth(8, 8), "PNG")
    at = 33
    texts = chunk(b"zTXt", b"Comment\0\0" + packed) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)
    files = [
        png[:at] + chunk(b"iCCP", b"icc\0\0" + packed) + png[at:],
        png[:at] + texts + chunk(b"zTXt", b"Raw profile type exif\0\0" + packed) + png[at:],
        pictures.tiff(pictures.smooth(8, 8), compression="zlib"),
    ]
    with io.BytesIO(files[2]) as stream:
        import tifffile

        with tifffile.TiffFile(stream) as tiff:
            tags = tiff.pages.first.tags
            offset, count = tags["StripOffsets"].valueoffset, tags["StripByteCounts"].valueoffset
    swollen = bytearray(files[2])
    swollen[offset : offset + 4], swollen[count : count + 4] = struct.pack("<I", len(swollen)), struct.pack("<I", len(packed))
    files[2] = bytes(swollen) + packed
    program = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from translate.runtime.picture import Picture\n"
        "from translate.runtime.errors import PictureError\n"
        "data = sys.stdin.buffer.read()\n"
        "try: print(Picture.open(data).pixels.shape)\n"
        "except PictureError as error: print(type(error).__name__)\n"
        # Not getrusage's figure: a child inherits it from a parent that may have loaded much
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024)\n"
    )
    for data, expected in zip(files, ("(8, 8, 3)", "(8, 8, 3)", "CorruptPicture"), strict=True):
        run = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
        shape, megabytes = run.stdout.decode().splitlines()
        assert shape == expected
        assert int(megabytes) < 220


@pytest.mark.parametrize("source", ["path", "bytes"])
def test_too_little_memory_is_not_a_damaged_picture(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    (tmp_path / "a.png").write_bytes(SEEDS["PNG"])
    monkeypatch.setattr(codecs, "decode", exhausted)
    with pytest.raises(OutOfMemory, match=r"a\.png: not enough memory" if source == "path" else "the picture: not enough memory"):
        Picture.open(tmp_path / "a.png" if source == "path" else SEEDS["PNG"])


def test_a_giant_tile_in_a_small_tiff_is_refused() -> None:
    import tifffile

    data = bytearray(pictures.tiff(pictures.smooth(8, 8), tile=(16, 16), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        places = [tiff.pages.first.tags[name].valueoffset for name in ("TileWidth", "TileLength")]
        kinds = [tiff.pages.first.tags[name].dtype for name in ("TileWidth", "TileLength")]
    for place, kind in zip(places, kinds, strict=True):
        data[place : place + 2] = struct.pack("<H", 65520)
        assert kind in (3, 4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert outcome(bytes(data)) is CorruptPicture
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
