"""Metadata: what a picture file holds besides its pixels, and how it was coded."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

IPTC_RESOURCE = 0x0404
STALE_RESOURCES = {0x0409, 0x040C, 0x040F, 0x0422, 0x0423, 0x0424}
"""Thumbnails, and second copies of the ICC profile, EXIF and XMP."""


@dataclass(frozen=True)
class JpegCoding:
    """How strongly a JPEG was compressed: enough to compress the result alike."""

    tables: tuple[tuple[int, ...], ...]
    """Quantisation tables, 64 values in natural (not zigzag) order, one for each component or for luma and chroma."""
    subsampling: int
    """0: 4:4:4, 1: 4:2:2, 2: 4:2:0."""


@dataclass(frozen=True)
class TiffCoding:
    """How a TIFF was compressed, in TIFF's own numbers."""

    compression: int
    predictor: int


@dataclass(frozen=True)
class Metadata:
    """Everything a picture file had besides its pixels. Empty bytes or None: the file had none."""

    format: str = ""
    """`JPEG`, `PNG`, `WEBP`, `TIFF`, `BMP`, `HEIF`, `AVIF`, or empty for a picture that came from no file."""
    exif: bytes = b""
    """A TIFF structure as in EXIF, beginning with `II` or `MM`."""
    icc: bytes = b""
    xmp: bytes = b""
    photoshop: bytes = b""
    """Photoshop's image resource blocks (`8BIM…`), of which one holds the IPTC record."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical resolution, pixels per inch."""
    mtime_ns: int | None = None
    """The file's date, nanoseconds since 1970."""
    transparent: bool = True
    """Whether the alpha channel means opacity. A TIFF's unspecified extra channel (infrared, a mask) does not."""
    lossless: bool = False
    """Whether a WebP was coded without loss."""
    jpeg: JpegCoding | None = None
    tiff: TiffCoding | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """A PNG's other chunks (colour space, texts, …), or a JPEG's other segments: (type, content)."""

    @property
    def iptc(self) -> bytes:
        """The IPTC record (IIM), empty where there is none."""
        return b"".join(block.content for block in image_resources(self.photoshop) if block.id == IPTC_RESOURCE)


class ImageResource(NamedTuple):
    """One of Photoshop's blocks."""

    id: int
    content: bytes
    raw: bytes
    """The whole block with its head."""


def image_resources(data: bytes) -> Iterator[ImageResource]:
    """The blocks in Photoshop's part of a file, up to the first that is damaged."""
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        name_end = at + 6 + (data[at + 6] + 2) // 2 * 2
        if name_end + 4 > len(data):
            return
        start = name_end + 4
        end = start + int.from_bytes(data[name_end:start])
        if end > len(data):
            return
        padded = end + (end - start) % 2
        yield ImageResource(int.from_bytes(data[at + 4 : at + 6]), data[start:end], data[at:padded])
        at = padded


def still_true(photoshop: bytes) -> bytes:
    """Photoshop's blocks without thumbnails and without second copies of EXIF, XMP and ICC profile."""
    return b"".join(block.raw for block in image_resources(photoshop) if block.id not in STALE_RESOURCES)


def photoshop_of_iptc(iptc: bytes) -> bytes:
    """Wraps an IPTC record as Photoshop does."""
    head = b"8BIM" + struct.pack(">HHI", IPTC_RESOURCE, 0, len(iptc))
    return head + iptc + bytes(len(iptc) % 2) if iptc else b""


def upright_xmp(xmp: bytes) -> bytes:
    """The same XMP for a picture that was turned upright, without thumbnails."""
    return re.sub(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[1-8]", rb"\g<1>1", without_thumbnails(xmp))


def without_thumbnails(xmp: bytes) -> bytes:
    """The same XMP without the small pictures of what the photograph looked like before."""
    return re.sub(rb"<(xmp|xap):Thumbnails>.*?</\1:Thumbnails>", b"", xmp, flags=re.DOTALL)
