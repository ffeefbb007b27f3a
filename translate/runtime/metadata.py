"""Metadata: what a picture file holds besides its pixels, and how it was coded."""

from dataclasses import dataclass


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
