"""JPEG, WebP, BMP, HEIC and AVIF: the 8-bit formats, through Pillow's own plugins."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile, get_sampling
from PIL.WebPImagePlugin import WebPImageFile

from translate.runtime.codecs.bands import Decoded, from_image, split_alpha, to_image
from translate.runtime.codecs.limits import check_size
from translate.runtime.errors import CorruptPicture, UnsupportedPicture
from translate.runtime.metadata import JpegCoding, Metadata

# The plugin classes are called by name: `Image.open` would try others, and has a pixel limit of its own for the whole process.
PLUGINS: dict[str, Callable[[BinaryIO], Image.Image]] = {
    "JPEG": JpegImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "AVIF": AvifImageFile,
}
LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383, "BMP": 2**31 - 1}
DEFAULT_QUALITY = {"JPEG": 95, "WEBP": 90}
SEGMENT = 65533
"""Most bytes that a JPEG segment holds."""


def decode(file: BinaryIO, format: str, max_pixels: int) -> Decoded:
    """A picture of 8 bits per sample."""
    with PLUGINS[format](file) as image:
        check_size(*image.size, max_pixels)
        info, warnings = image.info, []
        if getattr(image, "is_animated", False):
            warnings.append(f"an animation of {image.n_frames} frames: only the first is kept")
        meta = Metadata(
            format=format,
            exif=info.get("exif", b"").removeprefix(b"Exif\0\0"),
            icc=info.get("icc_profile") or b"",
            xmp=info.get("xmp", b""),
            dpi=info.get("dpi"),
            jpeg=_jpeg_coding(image) if isinstance(image, JpegImageFile) else None,
        )
        image.load()
        pixels, alpha = split_alpha(from_image(image))
    return Decoded(pixels, alpha, meta, warnings)


def encode(
    file: BinaryIO, format: str, pixels: np.ndarray, alpha: np.ndarray | None, meta: Metadata, quality: int | None
) -> list[str]:
    """Writes 8 bits per sample. `quality` 1 to 100; by default a JPEG's own tables, 95 for JPEG, 90 for WebP."""
    height, width = pixels.shape[:2]
    if max(height, width) > LONGEST_SIDE[format]:
        raise UnsupportedPicture(f"{format} holds at most {LONGEST_SIDE[format]} pixels a side, not {width} × {height}")
    lost = []
    if pixels.dtype != np.uint8:
        lost.append(f"{format} holds 8 bits: the 16 were rounded (PNG and TIFF keep them)")
    if alpha is not None and format != "WEBP":
        lost.append(f"{format} holds no alpha: the picture was laid over white (PNG, WebP and TIFF keep it)")
    mode = "L" if pixels.shape[2] == 1 and format != "WEBP" else "RGB" + "A" * (alpha is not None and format == "WEBP")
    options = {"JPEG": _jpeg_options, "WEBP": _webp_options, "BMP": _bmp_options}[format](meta, quality)
    image = to_image(pixels, alpha, mode)
    image.save(file, format, **options)
    return lost


def _jpeg_coding(image: JpegImageFile) -> JpegCoding:
    tables = [tuple(image.quantization[component[3]]) for component in image.layer[:3]]
    return JpegCoding(tuple(tables), max(get_sampling(image), 0))


def _jpeg_options(meta: Metadata, quality: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {"quality": quality or DEFAULT_QUALITY["JPEG"], "subsampling": 0}
    if meta.jpeg and quality is None:
        options = {"qtables": [list(table) for table in meta.jpeg.tables], "subsampling": meta.jpeg.subsampling}
    if meta.dpi:
        options["dpi"] = tuple(min(max(round(dpi), 1), 65535) for dpi in meta.dpi)
    return options | {"exif": b"Exif\0\0" + meta.exif if meta.exif else b"", "icc_profile": meta.icc or None, "xmp": meta.xmp}


def _webp_options(meta: Metadata, quality: int | None) -> dict[str, Any]:
    lossless = meta.lossless and quality is None
    coding = {"lossless": True, "exact": True} if lossless else {"quality": quality or DEFAULT_QUALITY["WEBP"]}
    return {**coding, "exif": b"Exif\0\0" + meta.exif if meta.exif else b"", "icc_profile": meta.icc, "xmp": meta.xmp}


def _bmp_options(meta: Metadata, quality: int | None) -> dict[str, Any]:
    return {"dpi": meta.dpi} if meta.dpi else {}
