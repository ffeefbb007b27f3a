"""Bands of rows: how pixels pass between Pillow and numpy without a second whole copy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from translate.runtime.metadata import Metadata

ROWS = 256

# Pillow's own 16 MiB blocks are small enough for malloc to keep, once per thread; larger ones go back to the system when freed
Image.core.set_block_size(64 * 2**20)


@dataclass(frozen=True)
class Decoded:
    """What a decoder returns."""

    pixels: np.ndarray
    """[H, W, 1 or 3], uint8 or uint16."""
    alpha: np.ndarray | None
    """[H, W], of the same type."""
    meta: Metadata
    warnings: list[str] = field(default_factory=list)


def split_alpha(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """[H, W] or [H, W, 1..4] -> pixels [H, W, 1 or 3] and alpha [H, W] or None, both views."""
    samples = samples[..., None] if samples.ndim == 2 else samples
    channels = samples.shape[2]
    return (samples, None) if channels in (1, 3) else (samples[..., :-1], samples[..., -1])


def join_alpha(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The samples of a file, C-contiguous: [H, W] for grey, else [H, W, 2..4]."""
    if alpha is not None:
        samples = np.empty((*alpha.shape, pixels.shape[2] + 1), pixels.dtype)
        samples[..., :-1], samples[..., -1] = pixels, alpha
        return samples
    shape = pixels.shape[:2] if pixels.shape[2] == 1 else pixels.shape
    return (
        np.ascontiguousarray(pixels).reshape(-1).reshape(shape)
    )  # by way of one axis, so that sides of 1 get plain strides, too


def from_image(image: Image.Image, convert: Callable[[Image.Image], Image.Image] = lambda band: band) -> np.ndarray:
    """[H, W, C] uint8 out of a loaded Pillow image, converted and copied band by band."""
    width, height = image.size
    samples: np.ndarray | None = None
    for top in range(0, height, ROWS):
        band = np.asarray(convert(image.crop((0, top, width, min(top + ROWS, height)))), dtype=np.uint8)
        if samples is None:
            samples = np.empty((height, width, band.shape[2] if band.ndim == 3 else 1), np.uint8)
        samples[top : top + len(band)] = band.reshape(len(band), width, -1)
    assert samples is not None, "Pillow refuses pictures without rows"
    return samples


def to_image(pixels: np.ndarray, alpha: np.ndarray | None, mode: str) -> Image.Image:
    """A Pillow image of `mode` out of uint8 or uint16 pixels (rounded to 8 bits), filled band by band.

    Where `mode` has no alpha, the picture is laid over white.
    """
    height, width = pixels.shape[:2]
    image = Image.new(mode, (width, height))
    for top, band, veil in _bands(pixels, alpha):
        if veil is not None and not mode.endswith("A"):
            band, veil = over_white(band, veil), None
        image.paste(Image.fromarray(join_alpha(band, veil)), (0, top))
    return image


def _bands(pixels: np.ndarray, alpha: np.ndarray | None) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    for top in range(0, len(pixels), ROWS):
        rows = slice(top, top + ROWS)
        yield top, to_8_bits(pixels[rows]), None if alpha is None else to_8_bits(alpha[rows])


def to_8_bits(samples: np.ndarray) -> np.ndarray:
    """uint16 -> uint8, rounded to the nearest; uint8 as it is."""
    return samples if samples.dtype == np.uint8 else ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lays 8-bit pixels [H, W, C] over white, by alpha [H, W]."""
    opacity = alpha[..., None].astype(np.uint16)
    return ((pixels * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)
