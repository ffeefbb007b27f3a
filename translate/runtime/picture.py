"""Picture: the pixels of a photograph together with everything else that its file held."""

import io
import os
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import EllipsisType
from typing import BinaryIO, Self

import numpy as np
from PIL import Image

from translate.runtime import codecs, exif
from translate.runtime.codecs import FORMATS
from translate.runtime.codecs.bands import Decoded, from_image, split_alpha, to_image
from translate.runtime.codecs.colour import conversion
from translate.runtime.errors import CorruptPicture, OutOfMemory, PictureError, UnsupportedPicture
from translate.runtime.metadata import Metadata, upright_xmp, without_thumbnails

__all__ = ["DEFAULT_MAX_PIXELS", "FORMATS", "Metadata", "Picture"]

DEFAULT_MAX_PIXELS = 150_000_000
EXIF = b"Exif\0\0"


class Picture:
    """Pixels [H, W, C], uint8 or uint16, grey (C = 1) or RGB (C = 3), with alpha [H, W] or None of the same type.

    The arrays may be views with any strides. The values are those of the file, in the colour space of `meta.icc`.
    `warnings` says in words what of a file could not be read, or of the picture not be written.
    """

    def __init__(
        self, pixels: np.ndarray, alpha: np.ndarray | None = None, meta: Metadata | None = None, warnings: list[str] | None = None
    ) -> None:
        """Raises `ValueError` for arrays of other shapes or types."""
        if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or not pixels.size:
            raise ValueError(f"pixels are [H, W, 1 or 3] of uint8 or uint16, not {list(pixels.shape)} of {pixels.dtype}")
        if alpha is not None and (alpha.dtype != pixels.dtype or alpha.shape != pixels.shape[:2]):
            raise ValueError(f"alpha is {list(pixels.shape[:2])} of {pixels.dtype}, not {list(alpha.shape)} of {alpha.dtype}")
        self.pixels = pixels
        self.alpha = alpha
        self.meta = meta or Metadata()
        self.warnings = list(warnings or [])

    @classmethod
    def open(cls, source: str | os.PathLike[str] | bytes | BinaryIO, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Self:
        """Reads a path, the bytes of a file, or a file open for reading in binary.

        Raises `UnsupportedPicture`, `CorruptPicture`, `PictureTooLarge` (more than `max_pixels`, found before decoding),
        `OutOfMemory`, and `OSError` where a path cannot be read. No other errors, whatever the bytes.
        """
        with _opened(source) as (file, where, mtime_ns):
            try:
                decoded = codecs.decode(file, max_pixels)
            except PictureError as error:
                raise type(error)(f"{where}: {error}") from error
            except MemoryError as error:
                raise OutOfMemory(f"{where}: not enough memory to decode it. Free some, or make the picture smaller") from error
            except Exception as error:  # decoders raise anything on hostile bytes; their files were opened before
                raise CorruptPicture(f"{where} is damaged or incomplete: {error}") from error
        return cls._upright(replace(decoded, meta=replace(decoded.meta, mtime_ns=mtime_ns)))

    @classmethod
    def _upright(cls, decoded: Decoded) -> Self:
        """Turns pixels and alpha as the EXIF says, which then says that they are upright, without a stale thumbnail."""
        meta, warnings = replace(decoded.meta, xmp=without_thumbnails(decoded.meta.xmp)), list(decoded.warnings)
        orientation = 1
        if meta.exif:
            try:
                orientation = exif.orientation(meta.exif)
                meta = replace(meta, exif=exif.tidied(meta.exif))
            except (ValueError, struct.error):
                meta = replace(meta, exif=b"")
                warnings.append("its EXIF is damaged and left out")
        if orientation > 1:
            meta = replace(meta, xmp=upright_xmp(meta.xmp))
        if orientation > 4 and meta.dpi:
            meta = replace(meta, dpi=meta.dpi[::-1])
        alpha = None if decoded.alpha is None else _turned(decoded.alpha, orientation)
        return cls(_turned(decoded.pixels, orientation), alpha, meta, warnings)

    @classmethod
    def from_pil(cls, image: Image.Image) -> Self:
        """Takes what Pillow holds: 8 bits, or 16 where it is grey, alpha, and the EXIF, ICC profile and XMP in `info`.

        Raises `UnsupportedPicture` for modes of other numbers (I and F).
        """
        info = image.info
        if image.mode.startswith("I;16"):
            samples, icc, warnings = np.asarray(image).astype(np.uint16), info.get("icc_profile") or b"", list[str]()
        else:
            convert, icc, warnings = conversion(image, info.get("icc_profile") or b"")
            samples = from_image(image, convert)
        pixels, alpha = split_alpha(samples)
        meta = Metadata(
            exif=image.getexif().tobytes().removeprefix(EXIF) if image.getexif() else b"", icc=icc, xmp=info.get("xmp") or b""
        )
        return cls._upright(Decoded(pixels, alpha, meta, warnings))

    def to_pil(self) -> Image.Image:
        """A Pillow image (L, LA, RGB or RGBA of 8 bits, or I;16) with EXIF, ICC profile and XMP in `info`."""
        if self.bits == 16 and self.grey and self.alpha is None:
            image = Image.fromarray(np.ascontiguousarray(self.pixels[..., 0]))
        else:
            image = to_image(self.pixels, self.alpha, ("L" if self.grey else "RGB") + ("A" if self.alpha is not None else ""))
        held = {
            "exif": self.meta.exif and EXIF + exif.with_size(self.meta.exif, self.width, self.height),
            "icc_profile": self.meta.icc,
            "xmp": self.meta.xmp,
        }
        image.info |= {key: value for key, value in held.items() if value}
        return image

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def bits(self) -> int:
        """8 or 16, per sample."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def grey(self) -> bool:
        return bool(self.pixels.shape[2] == 1)

    @property
    def format(self) -> str:
        """The format of the file it came from, such as `JPEG`; empty where it came from none."""
        return self.meta.format

    @property
    def default_format(self) -> str:
        """The format it is written in unless told: its own, or where that is not written, JPEG, or PNG for alpha and 16 bits."""
        if self.format in FORMATS:
            return self.format
        return "PNG" if self.bits == 16 or self.alpha is not None or not self.format else "JPEG"

    def with_pixels(self, pixels: np.ndarray, alpha: np.ndarray | EllipsisType | None = ...) -> "Picture":
        """Other pixels with the same metadata and warnings; the same alpha unless another one is given."""
        return Picture(pixels, self.alpha if alpha is ... else alpha, self.meta, self.warnings)

    def encode(self, format: str | None = None, quality: int | None = None) -> bytes:
        """The bytes of a file. See `save`."""
        file = io.BytesIO()
        self._write(file, format or self.default_format, quality)
        return file.getvalue()

    def save(self, path: str | os.PathLike[str], *, format: str | None = None, quality: int | None = None) -> None:
        """Writes a file in the format of the path's suffix unless told, in one step, with the original file's date.

        `quality`: 1 to 100 for JPEG and WebP; by default a JPEG's own tables, a WebP's own losslessness, else 95 and 90.
        What the format cannot hold is said in `warnings`. Raises `UnsupportedPicture` where it cannot hold the picture at all.
        """
        path = Path(path)
        format = format or _format_of(path)
        temporary = path.with_name(f".translate-{secrets.token_hex(8)}.tmp")
        try:
            with _Whole(io.FileIO(temporary, "xb+")) as file:
                self._write(file, format, quality)
                file.flush()
                os.fsync(file.raw.fileno())
            if self.meta.mtime_ns is not None:
                os.utime(temporary, ns=(self.meta.mtime_ns, self.meta.mtime_ns))
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _write(self, file: BinaryIO, format: str, quality: int | None) -> None:
        format = format.upper()
        if format not in FORMATS:
            raise UnsupportedPicture(f"'{format}' is not written; choose one of {', '.join(FORMATS)}")
        if quality is not None and not 1 <= quality <= 100:
            raise ValueError(f"quality is 1 to 100, not {quality}")
        meta = replace(self.meta, exif=exif.with_size(self.meta.exif, self.width, self.height)) if self.meta.exif else self.meta
        lost = codecs.encode(file, format, self.pixels, self.alpha, meta, quality)
        self.warnings += [warning for warning in lost if warning not in self.warnings]


class _Whole(io.BufferedRandom):
    """A file that is written whole or raises. It hides its descriptor: Pillow's encoders would write to it past Python, and take
    what a full disk cut short for written."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@contextmanager
def _opened(source: str | os.PathLike[str] | bytes | BinaryIO) -> Iterator[tuple[BinaryIO, str, int | None]]:
    """A seekable file, its name for messages, and its date where it has one."""
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            yield file, str(source), os.fstat(file.fileno()).st_mtime_ns
    elif isinstance(source, bytes) or hasattr(source, "read"):
        yield io.BytesIO(source if isinstance(source, bytes) else source.read()), "the picture", None
    else:
        raise TypeError(
            f"a picture is a path, the bytes of a file, a file open in binary, or a PIL image, not {type(source).__name__}; "
            "PIL.Image.fromarray makes one of an array"
        )


def _turned(samples: np.ndarray, orientation: int) -> np.ndarray:
    """A view of [H, W, …] samples as EXIF's orientation (1 to 8) says they are seen."""
    samples = samples.swapaxes(0, 1) if orientation > 4 else samples
    down, left = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return samples[:: -1 if down else 1, :: -1 if left else 1]


def _format_of(path: Path) -> str:
    for name, format in FORMATS.items():
        if path.suffix.lower() in format.suffixes:
            return name
    raise UnsupportedPicture(f"{path}: no format that is written ends in '{path.suffix}'; choose one of {', '.join(FORMATS)}")
