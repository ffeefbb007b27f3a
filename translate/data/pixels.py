"""Pixels of the pictures that are learned from: read as the server reads them, scaled, cropped, and as tensors."""

import os
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from translate.data.layouts import Pair, View
from translate.runtime.card import LUMINANCE
from translate.runtime.errors import TranslateError
from translate.runtime.picture import Picture

Pixels = NDArray[np.unsignedinteger[Any]]
"""`[H, W, C]`, uint8 or uint16, of 1 channel (grey) or 3 (RGB)."""

CACHE_BYTES = 3 << 30
"""Most memory for pictures that are kept decoded."""

Key = TypeVar("Key", bound=Hashable)


class Paired(NamedTuple):
    """A batch: x (source) and y (target), float32 `[N, C, H, W]` in -1..1, each with 1 or 3 channels."""

    x: Tensor
    y: Tensor


def decode(path: Path, channels: int | None = 3) -> Pixels:
    """A file's picture, turned as its EXIF says, with its own 8 or 16 bits, and its own channels where none are asked for.

    Raises `ValueError` naming the file.
    """
    try:
        pixels = Picture.open(path).pixels
        return pixels if channels is None else to_channels(pixels, channels)
    except (TranslateError, OSError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path} cannot be read as a picture: {reason}") from error


def read(view: View, channels: int = 3) -> Pixels:
    """A picture, or half of a joined one. Raises `ValueError` naming the file."""
    return half(decode(view.path, channels), view)


def read_pair(pair: Pair, channels: tuple[int, int] = (3, 3)) -> tuple[Pixels, Pixels]:
    """Both pictures; a joined file is decoded once. Raises `ValueError`, naming the file, where their sizes differ."""
    if pair.x.path == pair.y.path:
        whole = decode(pair.x.path, max(channels))
        x, y = (to_channels(half(whole, view), count) for view, count in zip(pair, channels, strict=True))
    else:
        x, y = (read(view, count) for view, count in zip(pair, channels, strict=True))
    return same_size(x, y, pair)


def half(pixels: Pixels, view: View) -> Pixels:
    """What `view` shows of its file's pixels; the middle column of an odd width is left out."""
    width = pixels.shape[1] // 2
    if not view.half:
        return pixels
    if not width:
        raise ValueError(f"{view.path} is one pixel wide: no two pictures side by side")
    # A copy, lest the other half be kept in memory as well
    return (pixels[:, :width] if view.half == "left" else pixels[:, width : 2 * width]).copy()


def same_size(x: Pixels, y: Pixels, pair: Pair) -> tuple[Pixels, Pixels]:
    """The two as they are. Raises `ValueError`, naming the files, where their sizes differ."""
    if x.shape[:2] != y.shape[:2]:
        (height, width), (high, wide) = x.shape[:2], y.shape[:2]
        raise ValueError(
            f"{pair.x.path} is {width}×{height} but its partner {pair.y.path} is {wide}×{high}: "
            "make them equal, for example with translate-data pair --size"
        )
    return x, y


def to_channels(pixels: Pixels, channels: int) -> Pixels:
    """Grey repeated as RGB, or RGB's luminance as grey, rounded half up, as serving does both."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return pixels.repeat(3, axis=2)
    grey = pixels.astype(np.float32) @ np.array(LUMINANCE, np.float32)[:, None] + 0.5
    return grey.astype(pixels.dtype)


def scaled(pixels: Pixels, shorter: int, how: int | None = None) -> Pixels:
    """The picture with its shorter side of so many pixels; `how` as in `resized`."""
    height, width = pixels.shape[:2]
    factor = shorter / min(height, width)
    return resized(pixels, max(shorter, round(width * factor)), max(shorter, round(height * factor)), how)


def resized(pixels: Pixels, width: int, height: int, how: int | None = None) -> Pixels:
    """The picture in another size, of the same depth. `how` is OpenCV's; by default areas are averaged, or cubics laid."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if how is None:
        shrinks = width * height < pixels.shape[0] * pixels.shape[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC  # cubic alone would not smooth what it drops
    result = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=how)
    return np.asarray(result, pixels.dtype).reshape(height, width, -1)


def middle(pixels: Pixels, size: int) -> Pixels:
    """The square in the middle, of so many pixels: of pictures of at least that size."""
    top, left = ((side - size) // 2 for side in pixels.shape[:2])
    return pixels[top : top + size, left : left + size]


def augmentation(size: int, mirror: bool, turn: bool) -> A.Compose:
    """A random crop, mirrored and turned by quarters where it may be; a picture given as `target` goes along with `image`."""
    steps: list[A.BasicTransform] = [A.RandomCrop(size, size), A.HorizontalFlip(p=0.5 if mirror else 0)]
    return A.Compose(steps + ([A.RandomRotate90(p=1)] if turn else []), additional_targets={"target": "image"})


def check_load(load: int, size: int) -> None:
    """Raises `ValueError` where crops do not fit."""
    if load < size:
        raise ValueError(f"data.load = {load} is smaller than the crops, data.size = {size}")


def preload(keys: Iterable[Key], make: Callable[[Key], Any], budget: int | None = None) -> dict[Key, Any]:
    """`make` of each key, on all processors, until arrays (or tuples of them) of `budget` bytes are kept."""
    ahead = os.cpu_count() or 1
    todo, kept, size = list(dict.fromkeys(keys)), dict[Key, Any](), 0
    with ThreadPoolExecutor(ahead) as pool:
        for start in range(0, len(todo), 4 * ahead):
            some = todo[start : start + 4 * ahead]
            for key, made in zip(some, pool.map(make, some), strict=True):
                kept[key] = made
                size += sum(pixels.nbytes for pixels in (made if isinstance(made, tuple) else (made,)))
            if size > (CACHE_BYTES if budget is None else budget):
                break
    return kept


def to_tensor(pixels: Pixels) -> Tensor:
    """`[H, W, C]` of 8 or 16 bits to `[C, H, W]` float32 in -1..1."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return torch.from_numpy(planes.astype(np.float32)).div_(float(np.iinfo(pixels.dtype).max) / 2).sub_(1)


def as_pair(x: Pixels, y: Pixels) -> Paired:
    """One pair as a batch."""
    return Paired(to_tensor(x)[None], to_tensor(y)[None])


def start_worker(_: int) -> None:
    """Ends OpenCV's threads: every worker would have as many as the machine has processors, and no fork survives them."""
    cv2.setNumThreads(1)
