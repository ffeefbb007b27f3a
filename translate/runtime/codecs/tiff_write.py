"""Writes TIFF strip by strip, with EXIF and GPS directories, which no library writes beside 16-bit colour."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from translate.runtime import exif
from translate.runtime.codecs import tiff_tags as tag
from translate.runtime.codecs.bands import join_alpha
from translate.runtime.exif import LONG, SHORT, Entry, Layout
from translate.runtime.metadata import Metadata, TiffCoding

BYTE, RATIONAL, UNDEFINED, LONG8 = 1, 5, 7, 16
STRIP = 1 << 19
"""Bytes of a strip before compression, about."""
CLASSIC_LIMIT = 4_000_000_000
"""Bytes of pixels above which it becomes a BigTIFF."""
WRITTEN = (tag.NONE, tag.LZW, tag.DEFLATE)


def encode(file: BinaryIO, pixels: np.ndarray, alpha: np.ndarray | None, meta: Metadata) -> list[str]:
    """Writes 8 or 16 bits, grey or RGB, compressed like the original where that was lossless, else by deflate."""
    coding = meta.tiff if meta.tiff and meta.tiff.compression in WRITTEN else TiffCoding(tag.DEFLATE, 2)
    layout = Layout("<", big=pixels.nbytes > CLASSIC_LIMIT)
    file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if layout.big else struct.pack("<2sHI", b"II", 42, 0))
    channels = pixels.shape[2] + (alpha is not None)
    rows = max(1, STRIP // (pixels.shape[1] * channels * pixels.itemsize))
    offsets, counts = [], []
    for strip in _strips(pixels, alpha, rows, coding):
        offsets.append(file.tell())
        counts.append(file.write(strip))
    file.write(bytes(file.tell() % 2))
    structure = _structure(pixels, channels, rows, coding, offsets, counts, layout)
    if alpha is not None:
        structure[tag.EXTRA_SAMPLES] = _numbers(SHORT, [tag.UNASSOCIATED if meta.transparent else tag.UNSPECIFIED])
    start = file.tell()
    file.write(exif.build({**_described(meta), **structure}, layout, start))
    file.seek(8 if layout.big else 4)
    file.write(struct.pack(layout.offset, start))
    file.seek(0, io.SEEK_END)
    return []


def _strips(pixels: np.ndarray, alpha: np.ndarray | None, rows: int, coding: TiffCoding) -> Iterator[bytes]:
    compress = _compressor(coding.compression)
    for top in range(0, len(pixels), rows):
        strip = join_alpha(pixels[top : top + rows], None if alpha is None else alpha[top : top + rows])
        strip = strip.astype(strip.dtype.newbyteorder("<"), copy=False)
        if coding.predictor == 2 and coding.compression != tag.NONE:
            strip = np.diff(strip, axis=1, prepend=strip.dtype.type(0))
        yield compress(strip.tobytes())


def _compressor(compression: int) -> Callable[[bytes], bytes]:
    if compression == tag.LZW:
        import imagecodecs

        return lambda data: bytes(imagecodecs.lzw_encode(data))
    return zlib.compress if compression == tag.DEFLATE else bytes


def _structure(
    pixels: np.ndarray, channels: int, rows: int, coding: TiffCoding, offsets: list[int], counts: list[int], layout: Layout
) -> dict[int, Entry]:
    height, width, colours = pixels.shape
    place = LONG8 if layout.big else LONG
    return {
        tag.WIDTH: _numbers(LONG, [width]),
        tag.LENGTH: _numbers(LONG, [height]),
        tag.BITS: _numbers(SHORT, [8 * pixels.itemsize] * channels),
        tag.COMPRESSION: _numbers(SHORT, [coding.compression]),
        tag.PHOTOMETRIC: _numbers(SHORT, [tag.RGB if colours == 3 else tag.MIN_IS_BLACK]),
        tag.STRIP_OFFSETS: _numbers(place, offsets),
        tag.SAMPLES: _numbers(SHORT, [channels]),
        tag.ROWS_PER_STRIP: _numbers(LONG, [rows]),
        tag.STRIP_COUNTS: _numbers(place, counts),
        tag.PLANAR: _numbers(SHORT, [1]),
        tag.PREDICTOR: _numbers(SHORT, [1 if coding.compression == tag.NONE else coding.predictor]),
        tag.SAMPLE_FORMAT: _numbers(SHORT, [1] * channels),
    }


def _described(meta: Metadata) -> dict[int, Entry]:
    """All that the picture's metadata say, as tags."""
    tags: dict[int, Entry] = {}
    if meta.exif:
        file = io.BytesIO(meta.exif)
        layout, first = exif.read_header(file)
        read = exif.read_directory(file, layout, first).tags
        read = read if layout.order == "<" else exif.swapped(read)
        tags = {number: entry for number, entry in read.items() if number not in tag.STRUCTURE | tag.CARRIED_ELSEWHERE}
    if meta.dpi and meta.format != "TIFF":  # a TIFF's own tags hold it exactly
        tags[tag.X_RESOLUTION], tags[tag.Y_RESOLUTION] = (
            Entry(RATIONAL, 1, struct.pack("<II", min(round(dpi * 1000), 2**32 - 1), 1000)) for dpi in meta.dpi
        )
        tags[tag.RESOLUTION_UNIT] = _numbers(SHORT, [2])
    blocks = {tag.ICC: meta.icc, tag.PHOTOSHOP: meta.photoshop, tag.IPTC: meta.iptc, tag.XMP: meta.xmp}
    kinds = {tag.XMP: BYTE}
    return tags | {n: Entry(kinds.get(n, UNDEFINED), len(value), value) for n, value in blocks.items() if value}


def _numbers(kind: int, values: list[int]) -> Entry:
    code = {SHORT: "H", LONG: "I", LONG8: "Q"}[kind]
    return Entry(kind, len(values), struct.pack(f"<{len(values)}{code}", *values))
