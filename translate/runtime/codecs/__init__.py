"""Decoders and encoders of picture files, one module for each family. The content decides the format, never the suffix."""

import os
from typing import BinaryIO, NamedTuple

import numpy as np

from translate.runtime.codecs.bands import Decoded
from translate.runtime.errors import UnsupportedPicture
from translate.runtime.metadata import Metadata


class Format(NamedTuple):
    """A format that is written."""

    suffixes: tuple[str, ...]
    """The first is the usual one."""
    media_type: str


FORMATS: dict[str, Format] = {
    "JPEG": Format((".jpg", ".jpeg", ".jpe", ".jfif"), "image/jpeg"),
    "PNG": Format((".png",), "image/png"),
    "WEBP": Format((".webp",), "image/webp"),
    "TIFF": Format((".tif", ".tiff"), "image/tiff"),
    "BMP": Format((".bmp", ".dib"), "image/bmp"),
}

HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
AVIF_BRANDS = {b"avif", b"avis"}


def sniff(head: bytes) -> str:
    """The format of a file from its first bytes (64 are enough). Raises `UnsupportedPicture`."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if head.startswith(b"BM"):
        return "BMP"
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[i : i + 4] for i in range(16, len(head), 4))}
        if brands & AVIF_BRANDS:
            return "AVIF"
        if brands & HEIF_BRANDS:
            return "HEIF"
    what = "it is empty" if not head else "its first bytes are those of none of them"
    raise UnsupportedPicture(f"not a picture that is read (JPEG, PNG, WebP, TIFF, BMP, HEIC, AVIF): {what}")


def decode(file: BinaryIO, max_pixels: int) -> Decoded:
    """Reads one picture from a seekable file. EXIF orientation is left for the caller to apply."""
    format = sniff(file.read(64))
    file.seek(0, os.SEEK_SET)
    if format == "PNG":
        from translate.runtime.codecs import png

        return png.decode(file, max_pixels)
    if format == "TIFF":
        from translate.runtime.codecs import tiff

        return tiff.decode(file, max_pixels)
    if format == "HEIF":
        from translate.runtime.codecs import heif

        return heif.decode(file, max_pixels)
    from translate.runtime.codecs import pillow

    return pillow.decode(file, format, max_pixels)


def encode(
    file: BinaryIO, format: str, pixels: np.ndarray, alpha: np.ndarray | None, meta: Metadata, quality: int | None
) -> list[str]:
    """Writes one picture to an empty, seekable file; returns what the format could not hold, in words."""
    if format == "PNG":
        from translate.runtime.codecs import png

        return png.encode(file, pixels, alpha, meta)
    if format == "TIFF":
        from translate.runtime.codecs import tiff_write

        return tiff_write.encode(file, pixels, alpha, meta)
    from translate.runtime.codecs import pillow

    return pillow.encode(file, format, pixels, alpha, meta, quality)
