"""Pictures that are there twice, and pairs that do not lie on one another."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from translate.data.pixels import Pixels

Float = NDArray[np.float32]

SIDE = 16
"""Of the thumbnails that are compared, in pixels."""
ALIKE = 0.99
"""Correlation of thumbnails from which on two pictures are taken for versions of one."""
FLAT = 2 / 255
"""Contrast below which a thumbnail says nothing."""
BLOCK = 1024

REGISTERED = 128
"""Longer side of the pictures that are laid on one another, in pixels."""
FARTHEST = 0.25
"""Share of the picture's side by which it may have moved at most."""
AGREEMENT = 0.28
"""Correlation of edges in the other place from which on a pair is called moved. Photographs beside label maps that lie right
reach .25 in a wrong place; so a pair whose edges have little in common is never called anything."""
CLEARER = 0.1
"""By how much edges must agree better there than where they are."""


def thumbnail(pixels: Pixels) -> Float | None:
    """What two versions of a picture have in common, whatever their size, quality, brightness and contrast: its thumbnail as a
    vector of mean 0 and length 1. None of flat pictures."""
    small = cv2.resize(_grey(pixels), (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
    small = small - small.mean()
    length = float(np.linalg.norm(small))
    return None if length < FLAT * SIDE else np.asarray(small / length, np.float32)


def alike(thumbnails: Sequence[Float]) -> list[tuple[int, int]]:
    """Pairs of places whose thumbnails correlate by `ALIKE` or more. Takes memory for `BLOCK` rows of the comparison."""
    if not thumbnails:
        return []
    every = np.stack(thumbnails)
    found: list[tuple[int, int]] = []
    for start in range(0, len(every), BLOCK):
        rows, columns = np.nonzero(every[start : start + BLOCK] @ every[start:].T >= ALIKE)
        found += [(start + int(i), start + int(j)) for i, j in zip(rows, columns, strict=True) if i < j]
    return found


def moved(x: Pixels, y: Pixels) -> tuple[int, int] | None:
    """By how many pixels y lies to the right of x, and below it, where their edges say so clearly; else None.

    The edges' correlation at all shifts, through the Fourier transform (as Reddy & Chatterji 1996, but of gradients' sizes, which
    survive a change of domain, and not of phases). x and y: `[H, W, C]` of one size.
    """
    height, width = x.shape[:2]
    scale = min(1.0, REGISTERED / max(height, width))
    if min(height, width) * scale < SIDE:
        return None
    side = (round(width * scale), round(height * scale))
    one, other = (_edges(cv2.resize(_grey(picture), side, interpolation=cv2.INTER_AREA)) for picture in (x, y))  # type: ignore[arg-type]
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    if norm == 0:
        return None
    agreement = np.fft.irfft2(np.conj(np.fft.rfft2(one)) * np.fft.rfft2(other), s=one.shape) / norm
    down, right = (np.minimum(np.arange(n), n - np.arange(n)) for n in agreement.shape)
    near = (down[:, None] <= FARTHEST * side[1]) & (right[None] <= FARTHEST * side[0])
    here = agreement[(down[:, None] <= 1) & (right[None] <= 1)].max()
    top, left = np.unravel_index(np.argmax(np.where(near, agreement, -1)), agreement.shape)
    if agreement[top, left] < max(AGREEMENT, here + CLEARER) or max(down[top], right[left]) < 2:
        return None
    dy, dx = (int(place if place <= n // 2 else place - n) for place, n in zip((top, left), agreement.shape, strict=True))
    return round(dx / scale), round(dy / scale)


def _grey(pixels: Pixels) -> Float:
    return np.asarray(pixels.mean(axis=2, dtype=np.float32) / np.iinfo(pixels.dtype).max, np.float32)


def _edges(grey: Float) -> Float:
    size = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in grey.shape))
    return np.asarray((size - size.mean()) * window, np.float32)
