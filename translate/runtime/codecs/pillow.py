"""JPEG, WebP, BMP and AVIF: the 8-bit formats, through Pillow's own plugins."""

import os
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.WebPImagePlugin import WebPImageFile

from translate.runtime.codecs.bands import Decoded, from_image, split_alpha, to_image
from translate.runtime.codecs.colour import conversion
from translate.runtime.codecs.limits import check_size
from translate.runtime.errors import UnsupportedPicture
from translate.runtime.metadata import JpegCoding, Metadata, still_true

# The plugin classes are called by name: `Image.open` has a pixel limit of its own, for the whole process.
PLUGINS: dict[str, Callable[[BinaryIO], Any]] = {
    "JPEG": JpegImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "AVIF": AvifImageFile,
}
LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383, "BMP": 2**31 - 1}
DEFAULT_QUALITY = {"JPEG": 95, "WEBP": 90}
SEGMENT = 65533
"""Most bytes that one JPEG segment holds."""
PHOTOSHOP = b"Photoshop 3.0\0"
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
EXIF = b"Exif\0\0"


def decode(file: BinaryIO, format: str, max_pixels: int) -> Decoded:
    """A picture of 8 bits per sample."""
    if format == "JPEG":
        _refuse_rare_jpeg(file)
    with PLUGINS[format](file) as image:
        check_size(image.width, image.height, max_pixels)
        info, warnings = image.info, _left_out(file, format, image)
        segments = image.applist if format == "JPEG" else []
        image.load()
        convert, icc, converted = conversion(image, info.get("icc_profile") or b"")
        meta = Metadata(
            format=format,
            exif=info.get("exif", b"").removeprefix(EXIF),
            icc=icc,
            xmp=info.get("xmp", b""),
            photoshop=still_true(b"".join(data.removeprefix(PHOTOSHOP) for _, data in segments if data.startswith(PHOTOSHOP))),
            dpi=_dpi(info.get("dpi")),
            lossless=format == "WEBP" and _is_lossless_webp(file),
            jpeg=_jpeg_coding(image) if format == "JPEG" else None,
            chunks=tuple(_kept_segments(segments)),
        )
        pixels, alpha = split_alpha(from_image(image, convert))
    return Decoded(pixels, alpha, meta, warnings + converted)


def encode(
    file: BinaryIO, format: str, pixels: np.ndarray, alpha: np.ndarray | None, meta: Metadata, quality: int | None
) -> list[str]:
    """Writes 8 bits per sample. `quality` 1 to 100; by default a JPEG's own tables, 95 for JPEG, 90 for WebP."""
    height, width = pixels.shape[:2]
    if max(height, width) > LONGEST_SIDE[format]:
        raise UnsupportedPicture(f"{format} holds at most {LONGEST_SIDE[format]} pixels a side, not {width} × {height}")
    options, lost = {"JPEG": _jpeg_options, "WEBP": _webp_options, "BMP": _bmp_options}[format](meta, quality)
    if pixels.dtype != np.uint8:
        lost.append(f"{format} holds 8 bits: the 16 were rounded (PNG and TIFF keep them)")
    if alpha is not None and not meta.transparent:
        lost.append(f"{format} holds no channel beside the colours: it was left out (TIFF keeps it)")
        alpha = None
    elif alpha is not None and format != "WEBP":
        lost.append(f"{format} holds no alpha: the picture was laid over white (PNG, WebP and TIFF keep it)")
    grey = pixels.shape[2] == 1 and format != "WEBP"
    veiled = alpha is not None and format == "WEBP"
    to_image(pixels, alpha, ("L" if grey else "RGB") + "A" * veiled).save(file, format, **options)
    return lost


def _left_out(file: BinaryIO, format: str, image: Any) -> list[str]:
    if format == "AVIF" and _has_more_than_8_bits(file):
        return ["its 10 or 12 bits were read as 8"]
    if getattr(image, "n_frames", 1) > 1:
        return [f"an animation of {image.n_frames} frames: only the first is kept"]
    if "mp" in image.info:
        return ["more pictures in the same JPEG (gain map, depth, preview) are left out"]
    return []


def _dpi(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    return (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None


def _has_more_than_8_bits(file: BinaryIO) -> bool:
    """The high_bitdepth flag of an AVIF's codec configuration box."""
    file.seek(0)
    _, found, configuration = file.read(1 << 16).partition(b"av1C")
    return bool(found) and len(configuration) > 2 and bool(configuration[2] & 0x40)


def _is_lossless_webp(file: BinaryIO) -> bool:
    """Whether its first frame is a VP8L chunk."""
    file.seek(0)
    head, end = file.read(12), file.seek(0, 2)
    at = 12
    while len(head) == 12 and at + 8 <= end:
        file.seek(at)
        kind, size = file.read(4), int.from_bytes(file.read(4), "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        at += 24 if kind == b"ANMF" else 8 + size + size % 2
    return False


def _refuse_rare_jpeg(file: BinaryIO) -> None:
    """Raises `UnsupportedPicture` for what the JPEG standards know beside 8 bits and Huffman or arithmetic codes of a DCT."""
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        marker, length = head[1], int.from_bytes(head[2:])
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            bits = int.from_bytes(file.read(1))
            if marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) or bits != 8:
                kind = "JPEG-LS" if marker == 0xF7 else f"lossless, hierarchical or {bits}-bit JPEG"
                raise UnsupportedPicture(f"a {kind} is not read: save it as an ordinary JPEG or as PNG")
            break
        file.seek(length - 2, os.SEEK_CUR)
    file.seek(0)


def _jpeg_coding(image: JpegImageFile) -> JpegCoding:
    tables = [tuple(image.quantization[component[3]]) for component in image.layer[:3]]
    return JpegCoding(tuple(tables[:2] if tables[1:2] == tables[2:] else tables), max(get_sampling(image), 0))


def _kept_segments(segments: list[tuple[str, bytes]]) -> list[tuple[bytes, bytes]]:
    """Comments, and the rest of an XMP longer than one segment."""
    kept = [(b"\xff\xfe", data) for marker, data in segments if marker == "COM"]
    return kept + [(b"\xff\xe1", data) for marker, data in segments if marker == "APP1" and data.startswith(EXTENDED_XMP)]


def _jpeg_options(meta: Metadata, quality: int | None) -> tuple[dict[str, Any], list[str]]:
    options: dict[str, Any] = {"quality": quality or DEFAULT_QUALITY["JPEG"], "subsampling": 0, "exif": b""}
    if meta.jpeg and quality is None:
        options |= {"quality": -1, "qtables": [list(table) for table in meta.jpeg.tables], "subsampling": meta.jpeg.subsampling}
    if meta.dpi:
        options["dpi"] = tuple(min(max(round(dpi), 1), 65535) for dpi in meta.dpi)
    options["icc_profile"] = meta.icc or None
    lost = []
    if len(meta.exif) + len(EXIF) <= SEGMENT:
        options["exif"] = EXIF + meta.exif if meta.exif else b""
    else:
        lost.append("its EXIF is longer than a JPEG holds (64 KB) and is left out")
    if len(meta.xmp) + 29 <= SEGMENT:
        options["xmp"] = meta.xmp
    else:
        lost.append("its XMP is longer than a JPEG holds (64 KB) and is left out")
    room = SEGMENT - len(PHOTOSHOP)
    blocks = [meta.photoshop[i : i + room] for i in range(0, len(meta.photoshop), room)]
    extra = [(b"\xff\xed", PHOTOSHOP + part) for part in blocks] + list(meta.chunks if meta.format == "JPEG" else ())
    options["extra"] = b"".join(marker + (len(data) + 2).to_bytes(2) + data for marker, data in extra)
    options["comment"] = None
    return options, lost


def _webp_options(meta: Metadata, quality: int | None) -> tuple[dict[str, Any], list[str]]:
    lossless = meta.lossless and quality is None
    coding = {"lossless": True, "exact": True} if lossless else {"quality": quality or DEFAULT_QUALITY["WEBP"]}
    metadata = {"exif": meta.exif, "icc_profile": meta.icc, "xmp": meta.xmp}
    return coding | metadata, ["WEBP holds no IPTC: it was left out"] if meta.iptc else []


def _bmp_options(meta: Metadata, quality: int | None) -> tuple[dict[str, Any], list[str]]:
    had = {"EXIF": meta.exif, "ICC profile": meta.icc, "XMP": meta.xmp, "IPTC": meta.iptc}
    lost = [f"BMP holds no {name}: it was left out" for name, content in had.items() if content]
    return {"dpi": meta.dpi} if meta.dpi else {}, lost
