"""Picture files for the tests, built with Pillow and tifffile: other hands than those under test."""

import io
from typing import Any, Literal

import numpy as np
import tifffile
from PIL import Image, ImageCms

from translate.runtime.picture import Picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="Gr\xc3\xbc\xc3\x9fe"/></x:xmpmeta>'
IPTC = b"\x1c\x02\x78\x00\x05words"
MAKER_NOTE = bytes(range(256))


def samples(shape: tuple[int, ...], bits: int = 8, seed: int = 0) -> np.ndarray:
    """Noise over the whole range, so that any lost bit is seen."""
    return np.random.default_rng(seed).integers(0, 2**bits, shape).astype(np.uint8 if bits == 8 else np.uint16)


def smooth(height: int, width: int) -> np.ndarray:
    """A gentle RGB picture whose every corner differs, which survives lossy formats."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([40 + 160 * x / width, 40 + 160 * y / height, 128 + 60 * (x / width - y / height)], axis=2).astype(np.uint8)


def exif(orientation: int = 1, width: int = 0, height: int = 0) -> bytes:
    """A block (without `Exif\\0\\0`) with the camera, a maker note, dates and a place."""
    block = Image.Exif()
    block[0x010F], block[0x0112] = "Leica", orientation
    inner = block.get_ifd(0x8769)
    inner[0x9003], inner[0x927C], inner[0xA002], inner[0xA003] = "1999:12:31 23:59:59", MAKER_NOTE, width, height
    block.get_ifd(0x8825)[2] = (52.0, 13.0, 30.5)
    return block.tobytes().removeprefix(b"Exif\0\0")


def with_thumbnail(block: bytes, thumbnail: bytes) -> bytes:
    """Adds a second directory with a JPEG thumbnail to a block without one."""
    order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"
    first = int.from_bytes(block[4:8], order)
    next_at = first + 2 + 12 * int.from_bytes(block[first : first + 2], order)
    start = len(block) + len(block) % 2
    directory = (2).to_bytes(2, order)
    for tag, value in ((0x0201, start + 30), (0x0202, len(thumbnail))):
        directory += b"".join(n.to_bytes(size, order) for n, size in ((tag, 2), (4, 2), (1, 4), (value, 4)))
    linked = block[:next_at] + start.to_bytes(4, order) + block[next_at + 4 :]
    return linked + bytes(start - len(block)) + directory + bytes(4) + thumbnail


def file(pixels: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of a file written by Pillow."""
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    stream = io.BytesIO()
    if format == "JPEG" and "exif" in options:
        options["exif"] = b"Exif\0\0" + options["exif"]
    image.save(stream, format, **options)
    return stream.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """The bytes of a file written by tifffile."""
    stream = io.BytesIO()
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 and pixels.shape[2] > 2 else "minisblack")
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def photoshop(iptc: bytes) -> bytes:
    """Image resource blocks with an IPTC record and a thumbnail."""

    def block(number: int, content: bytes) -> bytes:
        return b"8BIM" + number.to_bytes(2) + b"\0\0" + len(content).to_bytes(4) + content + bytes(len(content) % 2)

    return block(0x0404, iptc) + block(0x040C, b"old thumbnail")


def segment(marker: int, content: bytes) -> bytes:
    """A JPEG segment."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


def directories(block: bytes) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """Main, Exif and GPS tags as Pillow reads them."""
    read = Image.Exif()
    read.load(block)
    inner = (dict(read.get_ifd(0x8769)), dict(read.get_ifd(0x8825)))
    return {tag: value for tag, value in read.items() if tag not in (0x8769, 0x8825)}, *inner


def random_picture(height: int, width: int, *, channels: int = 3, bits: int = 8, alpha: bool = False, seed: int = 0) -> Picture:
    random, dtype = np.random.default_rng(seed), np.dtype(f"uint{bits}")
    draw = lambda *shape: random.integers(0, 2**bits, shape, dtype=dtype)  # noqa: E731
    return Picture(draw(height, width, channels), draw(height, width) if alpha else None)
