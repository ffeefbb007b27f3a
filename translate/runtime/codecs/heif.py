"""HEIC through the optional package pillow-heif, 10 and 12 bits as 16."""

from typing import Any, BinaryIO

import numpy as np

from translate.runtime import exif
from translate.runtime.codecs.bands import Decoded, split_alpha
from translate.runtime.codecs.limits import check_size
from translate.runtime.errors import UnsupportedPicture
from translate.runtime.metadata import Metadata


def decode(file: BinaryIO, max_pixels: int) -> Decoded:
    """The main picture of a HEIC file, turned upright by libheif."""
    try:
        import pillow_heif
    except ImportError as error:
        raise UnsupportedPicture("HEIC is read with the package pillow-heif: install it, or image-translate[heif]") from error
    container = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
    picture = container[container.primary_index]
    width, height = picture.size
    check_size(width, height, max_pixels)
    info: dict[str, Any] = picture.info
    pixels, alpha = split_alpha(np.array(picture))
    depth = info.get("bit_depth", 8)
    if pixels.dtype == np.uint16:
        for samples in (pixels,) if alpha is None else (pixels, alpha):
            samples |= samples >> depth  # libheif leaves the low bits empty, so that white would not be white
    block = (info.get("exif") or b"").removeprefix(b"Exif\0\0")
    meta = Metadata(
        format="HEIF",
        exif=exif.tidied(block) if block else b"",
        icc=info.get("icc_profile") or b"",
        xmp=info.get("xmp") or b"",
    )
    warnings = ["more pictures in the same file are left out"] if len(container) > 1 else []
    return Decoded(pixels, alpha, meta, warnings)
