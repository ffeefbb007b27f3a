"""Reads TIFF and BigTIFF of one page: grey and RGB of 8 and 16 bits through tifffile, the rest through Pillow."""

import math
import os
import struct
from dataclasses import replace
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from translate.runtime import exif
from translate.runtime.codecs import tiff_tags as tag
from translate.runtime.codecs.bands import ROWS, Decoded, from_image, split_alpha
from translate.runtime.codecs.colour import conversion
from translate.runtime.codecs.limits import check_size
from translate.runtime.errors import CorruptPicture, UnsupportedPicture
from translate.runtime.exif import Ifd
from translate.runtime.metadata import IPTC_RESOURCE, Metadata, TiffCoding, image_resources, photoshop_of_iptc, still_true

MAX_PAGES = 10_000
LARGEST_TILE = 1 << 24
"""Pixels that a tile, which is decoded as a whole, may have beyond twice the picture's own."""
CHANNELS = {
    tag.MIN_IS_WHITE: 1,
    tag.MIN_IS_BLACK: 1,
    tag.PALETTE: 1,
    tag.RGB: 3,
    tag.SEPARATED: 4,
    tag.YCBCR: 3,
    tag.CIELAB: 3,
}
PILLOW_BITS = {
    tag.MIN_IS_WHITE: (1, 2, 4, 8),
    tag.MIN_IS_BLACK: (1, 2, 4, 8),
    tag.PALETTE: (1, 2, 4, 8),
    tag.RGB: (8,),
    tag.SEPARATED: (8, 16),
    tag.YCBCR: (8,),
    tag.CIELAB: (8,),
}
"""Bits per sample of what is left to Pillow."""
CONVERTED = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "LAB", "YCbCr")
"""Pillow's modes of 8 bits at most."""
KINDS = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}


class Page(NamedTuple):
    """One directory of a TIFF."""

    number: int
    """Position in the file, from 0."""
    tags: Ifd
    order: str
    damaged: int
    """How many tags could not be read."""

    def integer(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        return exif.integer(self.tags.get(tag), self.order, default)

    def integers(self, tag: int, default: int) -> set[int]:
        """The different values of a tag with one value for each channel."""
        entry = self.tags.get(tag)
        if entry is None:
            return {default}
        size = exif.SIZES[entry.kind]
        values = (entry._replace(value=entry.value[i : i + size]) for i in range(0, len(entry.value), size))
        return {exif.integer(value, self.order, default) for value in values}

    @property
    def plain(self) -> bool:
        """Grey or RGB of 8 or 16 bits, perhaps with one more channel, compressed by nothing that knows pictures."""
        return (
            self.integer(tag.PHOTOMETRIC, -1) in (tag.MIN_IS_WHITE, tag.MIN_IS_BLACK, tag.RGB)
            and self.integers(tag.BITS, 1) in ({8}, {16})
            and self.integer(tag.COMPRESSION, tag.NONE) in tag.LOSSLESS
            and self.extra_channels in (0, 1)
        )

    @property
    def extra_channels(self) -> int:
        """Channels beside those of the colour model; negative where some of those are missing."""
        return self.integer(tag.SAMPLES, 1) - CHANNELS.get(self.integer(tag.PHOTOMETRIC, -1), 0)


def decode(file: BinaryIO, max_pixels: int) -> Decoded:
    """The only page of a TIFF. Copies at low resolution and masks beside it are left out."""
    page = _only_page(file)
    check_size(page.integer(tag.WIDTH), page.integer(tag.LENGTH), max_pixels)
    _check_samples(page)
    meta = _metadata(page)
    warnings = ["Photoshop's layers are left out"] if tag.PHOTOSHOP_LAYERS in page.tags else []
    if page.damaged:
        warnings.append(f"{page.damaged} of its tags are damaged and left out")
    if not page.plain:
        return _by_pillow(file, page, meta, warnings)
    pixels, alpha = split_alpha(_by_tifffile(file, page))
    if page.integer(tag.PHOTOMETRIC) == tag.MIN_IS_WHITE:
        np.subtract(np.iinfo(pixels.dtype).max, pixels, out=pixels)
    if alpha is not None and page.integer(tag.EXTRA_SAMPLES) == tag.ASSOCIATED:
        _divide_by_alpha(pixels, alpha)
    return Decoded(pixels, alpha, meta, warnings)


def _only_page(file: BinaryIO) -> Page:
    layout, offset = exif.read_header(file)
    pages: list[Page] = []
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < MAX_PAGES:
        directory = exif.read_directory(file, layout, offset)
        page = Page(len(seen), directory.tags, layout.order, directory.damaged)
        seen.add(offset)
        offset = directory.next
        if not page.integer(tag.SUBFILE) & 0b101:  # neither a reduced copy nor a mask
            pages.append(page if not pages else page._replace(tags={}))
    if not pages:
        raise UnsupportedPicture("a TIFF without a full-size page: a camera's raw file? Convert it to a TIFF first")
    if len(pages) > 1:
        raise UnsupportedPicture(f"a TIFF of {len(pages)} pages: split it into one file a page (for example with `tiffsplit`)")
    if tag.DNG_VERSION in pages[0].tags:
        raise UnsupportedPicture("a camera's raw file (DNG): develop it to a TIFF first")
    return pages[0]


def _check_samples(page: Page) -> None:
    kinds = page.integers(tag.SAMPLE_FORMAT, 1) - {1, 4}
    if kinds:
        raise UnsupportedPicture(f"a TIFF of {KINDS.get(min(kinds), 'unknown')} samples: save it with 8 or 16 bits, unsigned")
    bits, photometric = page.integers(tag.BITS, 1), page.integer(tag.PHOTOMETRIC, -1)
    if page.extra_channels not in (0, 1) or (
        not page.plain and (len(bits) > 1 or min(bits) not in PILLOW_BITS.get(photometric, ()))
    ):
        raise UnsupportedPicture(
            f"a TIFF of {page.integer(tag.SAMPLES, 1)} samples of {', '.join(map(str, sorted(bits)))} bits a pixel, photometric"
            f" {photometric}, compression {page.integer(tag.COMPRESSION, 1)}: save it as grey or RGB with 8 or 16 bits"
        )
    if page.integer(tag.IMAGE_DEPTH, 1) != 1:
        raise UnsupportedPicture("a TIFF of a volume: save its slices as one file each")


def _by_tifffile(file: BinaryIO, page: Page) -> np.ndarray:
    import tifffile

    pixels = page.integer(tag.WIDTH) * page.integer(tag.LENGTH)
    if page.integer(tag.TILE_WIDTH) * page.integer(tag.TILE_LENGTH) > 2 * pixels + LARGEST_TILE:
        raise CorruptPicture("a TIFF with tiles far larger than the picture")
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        found = tiff.pages[page.number]
        segments = zip(found.dataoffsets, found.databytecounts, strict=True)
        if len(found.dataoffsets) < math.prod(found.chunked):
            raise CorruptPicture("a TIFF that holds fewer strips or tiles than its size needs")
        if any(not count or start + count > end for start, count in segments):
            raise CorruptPicture(f"a TIFF that ends early, after {end} bytes")
        samples: np.ndarray = found.asarray(maxworkers=1)
    samples = samples.reshape(_shape(page))
    return np.moveaxis(samples, 0, 2) if _planar(page) else samples


def _planar(page: Page) -> bool:
    return page.integer(tag.PLANAR, 1) == 2 and page.integer(tag.SAMPLES, 1) > 1


def _shape(page: Page) -> tuple[int, int, int]:
    height, width, channels = page.integer(tag.LENGTH), page.integer(tag.WIDTH), page.integer(tag.SAMPLES, 1)
    return (channels, height, width) if _planar(page) else (height, width, channels)


def _by_pillow(file: BinaryIO, page: Page, meta: Metadata, warnings: list[str]) -> Decoded:
    file.seek(0)
    try:
        image = TiffImageFile(file)
        image.seek(page.number)
    except (SyntaxError, EOFError) as error:
        raise UnsupportedPicture(
            f"a kind of TIFF that is not read ({error}): save it as grey or RGB with 8 or 16 bits"
        ) from error
    with image:
        if image.mode not in CONVERTED:
            raise UnsupportedPicture(
                f"a TIFF of a kind ({image.mode}) that is not read: save it as grey or RGB with 8 or 16 bits"
            )
        image.load()
        convert, icc, lost = conversion(image, meta.icc)
        pixels, alpha = split_alpha(from_image(image, convert))
    if page.extra_channels and alpha is None:
        lost.append("its channel beside the colours is left out")
    if page.integers(tag.BITS, 1) == {16}:
        lost.append("16-bit CMYK was read as 8 bits")
    upright = exif.tidied(meta.exif) if meta.exif else b""  # Pillow has turned the pixels already
    return Decoded(pixels, alpha, replace(meta, icc=icc, exif=upright), warnings + lost)


def _divide_by_alpha(pixels: np.ndarray, alpha: np.ndarray) -> None:
    """Undoes the multiplication of colours by opacity, in place. Where all is transparent, there is nothing to undo."""
    most = np.iinfo(pixels.dtype).max
    for top in range(0, len(pixels), ROWS):
        band, opacity = pixels[top : top + ROWS], alpha[top : top + ROWS, :, None].astype(np.uint32)
        straight = (band.astype(np.uint32) * most + opacity // 2) // np.maximum(opacity, 1)
        band[:] = np.where(opacity > 0, np.minimum(straight, most), band)


def _metadata(page: Page) -> Metadata:
    tags = {number: entry for number, entry in page.tags.items() if number not in tag.STRUCTURE | tag.CARRIED_ELSEWHERE}
    content = {number: entry.value for number, entry in page.tags.items()}
    photoshop = still_true(content.get(tag.PHOTOSHOP, b""))
    if not any(block.id == IPTC_RESOURCE for block in image_resources(photoshop)):
        photoshop += photoshop_of_iptc(_iptc(page))
    return Metadata(
        format="TIFF",
        exif=exif.block(tags, page.order) if tags else b"",
        icc=content.get(tag.ICC, b""),
        xmp=content.get(tag.XMP, b"").rstrip(b"\0"),
        photoshop=photoshop,
        dpi=_dpi(page),
        transparent=page.integer(tag.EXTRA_SAMPLES, tag.UNASSOCIATED) != tag.UNSPECIFIED,
        tiff=TiffCoding(page.integer(tag.COMPRESSION, tag.NONE), page.integer(tag.PREDICTOR, 1)),
    )


def _iptc(page: Page) -> bytes:
    """The IPTC record, which some programs wrongly store as 32-bit numbers, in the file's byte order."""
    entry = page.tags.get(tag.IPTC)
    if entry is None:
        return b""
    return entry.value if entry.kind != exif.LONG or page.order == ">" else exif.swapped({0: entry})[0].value.rstrip(b"\0")


def _dpi(page: Page) -> tuple[float, float] | None:
    unit = {2: 1.0, 3: 2.54}.get(page.integer(tag.RESOLUTION_UNIT, 2))
    values = [page.tags.get(number) for number in (tag.X_RESOLUTION, tag.Y_RESOLUTION)]
    if unit is None or not all(entry and len(entry.value) >= 8 for entry in values):
        return None
    x, y = (struct.unpack_from(page.order + "II", entry.value) for entry in values if entry)
    return (x[0] / x[1] * unit, y[0] / y[1] * unit) if x[0] and x[1] and y[0] and y[1] else None
