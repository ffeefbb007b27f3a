"""Samples for the generative systems: mixtures of Gaussians in the plane, and handwritten digits.

A sample is a function of (seed, index) alone, as everywhere: a resumed run draws what a whole one would have drawn. Whole
batches are drawn at once, because a point in the plane costs less than the call that would draw it alone.
"""

import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

Float = NDArray[np.float32]


class Labelled(NamedTuple):
    """A batch: x, float32 `[N, 2]` or `[N, 1, H, W]` in -1..1, and y, the classes, int64 `[N]`."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Mixture(Dataset[Labelled]):
    """Equal Gaussians around `centres` `[K, 2]`; the class is the Gaussian's number."""

    centres: Float
    deviation: float
    seed: int = 0

    def __getitems__(self, indices: Sequence[int]) -> Labelled:
        rng = np.random.default_rng((self.seed, indices[0]))
        classes = rng.integers(len(self.centres), size=len(indices))
        noise = rng.standard_normal((len(indices), 2), dtype=np.float32)
        return Labelled(torch.from_numpy(self.centres[classes] + np.float32(self.deviation) * noise), torch.from_numpy(classes))

    def __getitem__(self, index: int) -> Labelled:
        return self.__getitems__([index])


@dataclass(frozen=True)
class Pictures(Dataset[Labelled]):
    """Stored pictures `[N, 1, H, W]` with classes `[N]`, drawn with replacement."""

    pictures: Tensor
    classes: Tensor
    seed: int = 0

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitems__(self, indices: Sequence[int]) -> Labelled:
        chosen = torch.from_numpy(np.random.default_rng((self.seed, indices[0])).integers(len(self), size=len(indices)))
        return Labelled(self.pictures[chosen], self.classes[chosen])

    def __getitem__(self, index: int) -> Labelled:
        return self.__getitems__([index])


def ring(modes: int = 8, radius: float = 1.0, deviation: float = 0.01, seed: int = 0) -> Mixture:
    """Gaussians on a circle (Metz et al. 2017, section 3.1, has 8 of radius 2 and deviation 0.02: the same, halved)."""
    angles = 2 * np.pi * np.arange(modes) / modes
    return Mixture(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32), deviation, seed)


def grid(side: int = 5, deviation: float = 0.0125, seed: int = 0) -> Mixture:
    """`side`² Gaussians on a square grid that reaches from -1 to 1 (25 in Gulrajani et al. 2017, fig. 1)."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    return Mixture(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), deviation, seed)


def digits(holdout: float = 0.2, size: int = 8, held: bool = False, seed: int = 0) -> Pictures:
    """The 1,797 digits of 8×8 pixels that scikit-learn brings along, without or with only the held-out share.

    A larger `size` is interpolated: nothing is added to them, but networks have room for more than one convolution.
    """
    from sklearn.datasets import load_digits

    if not 8 <= size <= 64:
        raise ValueError(f"data.size = {size}: these digits come in sizes from 8 to 64")

    stored = load_digits()
    order = np.random.default_rng(0).permutation(len(stored.target))
    cut = round(holdout * len(order))
    chosen = order[:cut] if held else order[cut:]
    pictures = stored.images[chosen].astype(np.float32) / 8 - 1
    if size > 8:
        larger = [cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC) for picture in pictures]
        pictures = np.stack(larger).clip(-1, 1)
    return Pictures(torch.from_numpy(pictures[:, None]), torch.from_numpy(stored.target[chosen].astype(np.int64)), seed)


def mnist(folder: Path, size: int = 32, held: bool = False, seed: int = 0) -> Pictures:
    """MNIST from its four idx files, plain or gzipped, below `folder`; `held` are its 10,000 test digits.

    28×28 pixels are padded with background to 32; smaller sizes are averaged down from that.

    Raises `ValueError` that names the file that is missing or damaged.
    """
    kind = "t10k" if held else "train"
    pictures = _idx(folder, f"{kind}-images", 3)
    classes = _idx(folder, f"{kind}-labels", 1)
    if len(pictures) != len(classes):
        raise ValueError(f"{folder}: {len(pictures)} {kind} pictures but {len(classes)} labels")
    if not 8 <= size <= 32:
        raise ValueError(f"data.size = {size}: MNIST comes in sizes from 8 to 32")
    padded = np.pad(pictures, ((0, 0), (2, 2), (2, 2)))
    if size < 32:
        padded = np.stack([cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) for picture in padded])
    scaled = torch.from_numpy(padded[:, None]).float() / 127.5 - 1
    return Pictures(scaled, torch.from_numpy(classes.astype(np.int64)), seed)


def _idx(folder: Path, stem: str, dimensions: int) -> NDArray[np.uint8]:
    """One file of the format that MNIST's page describes: a magic number, the dimensions, the bytes."""
    found = sorted(path for path in folder.rglob(f"{stem}*ubyte*") if path.is_file())
    if not found:
        raise ValueError(f"{folder} holds no {stem}-idx{dimensions}-ubyte(.gz): MNIST's four files are needed")
    try:
        content = found[0].read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        magic, *shape = struct.unpack(f">{1 + dimensions}I", content[: 4 * (1 + dimensions)])
        if magic != 0x800 + dimensions:
            raise ValueError(f"it begins with {magic:#x}, not {0x800 + dimensions:#x}")
        return np.frombuffer(content, np.uint8, offset=4 * (1 + dimensions)).reshape(shape)
    except (OSError, EOFError, struct.error, ValueError) as error:
        raise ValueError(f"{found[0]} is no idx file of MNIST: {error}") from error
