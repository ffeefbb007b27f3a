"""PNG, 8 and 16 bits: pixels through libpng (imagecodecs), metadata as the raw chunks."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from translate.runtime.codecs.bands import Decoded, join_alpha, split_alpha
from translate.runtime.codecs.limits import check_size
from translate.runtime.errors import CorruptPicture
from translate.runtime.metadata import Metadata, photoshop_of_iptc, still_true

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
COLOUR = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
KEPT = {*COLOUR, b"pHYs", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
XMP_KEYWORD = b"XML:com.adobe.xmp"
RAW_PROFILE = b"Raw profile type "
LEVEL = 3
"""zlib level: on photographs, 6 takes twice the time for 2 % fewer bytes."""
MAX_INFLATED = 32 << 20
"""Bytes that a compressed metadata chunk may grow to; profiles and texts are far smaller, bombs are not."""


def decode(file: BinaryIO, max_pixels: int) -> Decoded:
    """Any PNG: palette, 1 to 4 bits and transparent colours become 8-bit samples with alpha, 16 bits stay."""
    import imagecodecs

    data = file.read()
    chunks = list(_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise CorruptPicture("a PNG without its header")
    width, height = struct.unpack_from(">II", chunks[0][1])
    check_size(width, height, max_pixels)
    bare = SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks if kind in PIXELS)
    del data
    warnings = ["an animation: only its still picture is kept"] if any(kind == b"acTL" for kind, _ in chunks) else []
    meta, lost = _metadata([(kind, bytes(content)) for kind, content in chunks if kind in KEPT])
    del chunks
    pixels, alpha = split_alpha(imagecodecs.png_decode(bare))
    return Decoded(pixels, alpha, meta, warnings + lost)


def encode(file: BinaryIO, pixels: np.ndarray, alpha: np.ndarray | None, meta: Metadata) -> list[str]:
    """Writes 8 or 16 bits per sample, grey or RGB, with all metadata."""
    import imagecodecs

    lost = []
    if alpha is not None and not meta.transparent:
        lost, alpha = ["PNG holds no channel beside the colours: it was left out (TIFF keeps it)"], None
    data = memoryview(imagecodecs.png_encode(join_alpha(pixels, alpha), level=LEVEL))
    header = len(SIGNATURE) + 25
    file.write(data[:header])
    for kind, content in _ancillary(meta):
        file.write(_chunk(kind, content))
    file.write(data[header:])
    return lost


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """(type, content) of each chunk up to IEND. Wrong checksums are fatal only in the chunks that hold pixels."""
    view, at = memoryview(data), len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise CorruptPicture(f"a PNG that ends early, after {len(data)} bytes")
        length, kind = struct.unpack_from(">I4s", data, at)
        content = view[at + 8 : at + 8 + length]
        end = at + 12 + length
        if end > len(data):
            raise CorruptPicture(f"a PNG that ends early, after {len(data)} bytes")
        intact = zlib.crc32(content, zlib.crc32(kind)) == struct.unpack_from(">I", data, end - 4)[0]
        if not intact and kind in PIXELS:
            raise CorruptPicture(f"a PNG whose {kind.decode('latin1')} chunk at byte {at} is damaged")
        if intact:
            yield kind, content
        at = end


def _chunk(kind: bytes, content: bytes | memoryview) -> bytes:
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def _metadata(chunks: list[tuple[bytes, bytes]]) -> tuple[Metadata, list[str]]:
    meta, rest, lost = Metadata(format="PNG"), [], []
    for kind, content in chunks:
        if kind == b"eXIf":
            meta = replace(meta, exif=content)
        elif kind == b"pHYs" and len(content) == 9:
            x, y, unit = struct.unpack(">IIB", content)
            meta = replace(meta, dpi=(x * 0.0254, y * 0.0254)) if unit == 1 else meta
            rest += [] if unit == 1 else [(kind, content)]
        elif kind == b"iCCP":
            profile = _inflate(content[content.find(b"\0") + 2 :])
            lost += [] if profile else ["its ICC profile is damaged and left out"]
            meta = replace(meta, icc=profile)
        elif (block := _raw_profile(kind, content)) is not None:
            meta = _with_raw_profile(meta, block)
        elif kind == b"iTXt" and content.startswith(XMP_KEYWORD + b"\0"):
            meta = replace(meta, xmp=_international_text(content))
        else:
            rest.append((kind, content))
    return replace(meta, chunks=tuple(rest)), lost


def _inflate(data: bytes) -> bytes:
    """Decompressed, or empty where that fails or grows beyond reason."""
    engine = zlib.decompressobj()
    try:
        result = engine.decompress(data, MAX_INFLATED)
    except zlib.error:
        return b""
    return result if engine.eof else b""


def _raw_profile(kind: bytes, content: bytes) -> bytes | None:
    """The hexadecimal block in which ImageMagick and ExifTool keep EXIF, IPTC and XMP in texts; None where it is none."""
    keyword, _, rest = content.partition(b"\0")
    if kind not in (b"tEXt", b"zTXt") or keyword.removeprefix(RAW_PROFILE) not in (b"exif", b"APP1", b"iptc", b"8bim", b"xmp"):
        return None
    lines = (_inflate(rest[1:]) if kind == b"zTXt" else rest).split(b"\n", 3)
    try:
        return bytes.fromhex(lines[3].decode("ascii")) if len(lines) == 4 else None
    except ValueError:
        return None


def _with_raw_profile(meta: Metadata, profile: bytes) -> Metadata:
    if profile.startswith(b"Exif\0\0"):
        return replace(meta, exif=meta.exif or profile.removeprefix(b"Exif\0\0"))
    if profile.startswith(b"8BIM"):
        return replace(meta, photoshop=still_true(profile))
    if profile.startswith(b"\x1c"):
        return replace(meta, photoshop=photoshop_of_iptc(profile))
    return replace(meta, xmp=meta.xmp or profile.removeprefix(b"http://ns.adobe.com/xap/1.0/\0"))


def _international_text(content: bytes) -> bytes:
    """The text of an iTXt chunk: keyword, 0, compressed?, method, language, 0, translated keyword, 0, text."""
    _, _, rest = content.partition(b"\0")
    compressed, tail = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
    text = tail[2] if len(tail) == 3 else b""
    return _inflate(text) if compressed else text


def _ancillary(meta: Metadata) -> Iterator[tuple[bytes, bytes]]:
    own = meta.chunks if meta.format == "PNG" else ()
    if meta.icc:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(meta.icc)
    yield from (chunk for chunk in own if chunk[0] in COLOUR)
    if meta.dpi:
        yield b"pHYs", struct.pack(">IIB", *(min(round(dpi / 0.0254), 2**31 - 1) for dpi in meta.dpi), 1)
    if meta.exif:
        yield b"eXIf", meta.exif
    if meta.xmp:
        yield b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + meta.xmp
    if meta.photoshop:
        text = b"\niptc\n%8d\n%s\n" % (len(meta.photoshop), meta.photoshop.hex().encode())
        yield b"zTXt", RAW_PROFILE + b"iptc\0\0" + zlib.compress(text)
    yield from (chunk for chunk in own if chunk[0] not in COLOUR)
