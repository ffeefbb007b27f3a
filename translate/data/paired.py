"""Paired pictures: ready-made pairs, and clean photographs that are damaged on the fly.

A sample is a function of (seed, index) alone: whatever the number of workers, and after any resume, sample 1,000 is the
same sample 1,000.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from translate.data.damage import Damage, gaussian_noise, read_overlays

Pixels = NDArray[np.uint8]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
CACHE_BYTES = 3 << 30
MEASURED = 1024
"""Largest side of a validation picture, in pixels."""
SSIM_WINDOW = 11


class Paired(NamedTuple):
    """A batch: x (source) and y (target), float32 `[N, 3, H, W]` in -1..1."""

    x: Tensor
    y: Tensor


class Pair(NamedTuple):
    """Files of one pair. Without `target`, `source` holds both pictures side by side, the source on the left."""

    source: Path
    target: Path | None = None


@dataclass(frozen=True)
class Sources:
    """What a data folder holds, split into a part to train on and a part that is never trained on."""

    clean: Sequence[Path]
    pairs: Sequence[Pair]
    overlays: Sequence[Pixels] = ()
    held_clean: Sequence[Path] = ()
    held_pairs: Sequence[Pair] = ()

    def __str__(self) -> str:
        return (
            f"{len(self.clean)} clean photographs and {len(self.pairs)} pairs to train on, {len(self.overlays)} overlays; "
            f"held out: {len(self.held_clean)} photographs, {len(self.held_pairs)} pairs"
        )


def find(
    root: Path, clean: Iterable[str], pairs: Iterable[str], overlays: Sequence[str], holdout: float, target_first: bool = False
) -> Sources:
    """Looks through `root` for the named folders, of which some may be missing.

    `root` itself may also be such a folder: with A/ and B/ in it, it holds pairs; with pictures alone, clean photographs.
    `holdout` is the share kept for validation, chosen by file name, so that it stays the same when files are added.
    Raises `ValueError` where nothing can be trained on.
    """
    if not root.is_dir():
        raise ValueError(f"--data {root} is not a folder")
    photographs = [path for name in clean for path in pictures(root / name)]
    couples = [pair for name in pairs for pair in find_pairs(root / name)]
    if not photographs and not couples:
        couples = find_pairs(root) if (root / "A").is_dir() and (root / "B").is_dir() else []
        marks = [root / name for name in overlays]
        photographs = [] if couples else [path for path in pictures(root) if not any(map(path.is_relative_to, marks))]
    if not photographs and not couples:
        raise ValueError(f"--data {root} holds no pictures ({', '.join(sorted(SUFFIXES))}): nothing to train on")
    if target_first and any(pair.target for pair in couples):
        raise ValueError("target_first is for joined pictures; with folders A and B, swap the folders")
    if all(is_held(path, holdout) for path in (*photographs, *(pair.source for pair in couples))):
        raise ValueError(f"--data {root}: all pictures are held out for validation; add some, or lower data.holdout")
    return Sources(
        clean=[path for path in photographs if not is_held(path, holdout)],
        pairs=[pair for pair in couples if not is_held(pair.source, holdout)],
        overlays=[overlay for name in overlays if (root / name).is_dir() for overlay in read_overlays(root / name)],
        held_clean=[path for path in photographs if is_held(path, holdout)],
        held_pairs=[pair for pair in couples if is_held(pair.source, holdout)],
    )


def pictures(folder: Path) -> list[Path]:
    """Every picture below `folder`, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def find_pairs(folder: Path) -> list[Pair]:
    """Pairs of equal stems in `folder`/A and `folder`/B, or else every picture as a joined one."""
    if not ((folder / "A").is_dir() and (folder / "B").is_dir()):
        return [Pair(path) for path in pictures(folder)]
    sources, targets = (_by_stem(folder / side) for side in ("A", "B"))
    if sources.keys() != targets.keys():
        lonely = sorted(str(stem) for stem in sources.keys() ^ targets.keys())
        raise ValueError(f"{folder}: {len(lonely)} pictures in A or B have no partner, such as {', '.join(lonely[:3])}")
    return [Pair(sources[stem], targets[stem]) for stem in sorted(sources)]


def _by_stem(folder: Path) -> dict[Path, Path]:
    found: dict[Path, Path] = {}
    for path in pictures(folder):
        stem = path.relative_to(folder).with_suffix("")
        if stem in found:
            raise ValueError(f"{found[stem]} and {path} have one name, so nobody knows whose partner is whose: remove one")
        found[stem] = path
    return found


@dataclass
class Restoration(Dataset[Paired]):
    """Samples (damaged, clean), endless: any index ≥ 0 is valid."""

    sources: Sources
    size: int = 192
    """Side of the square crops, in pixels."""
    seed: int = 0
    pair_share: float = 0.4
    """Share of ready-made pairs, where there are clean photographs as well."""
    transplant: float = 0.5
    """Share of those pairs whose marks are moved onto another photograph, which multiplies few pairs."""
    target_first: bool = False
    upright: bool = False
    """Ready-made pairs are neither turned nor mirrored, because their marks have a direction, as film's scratches do."""
    damage: Damage = field(default_factory=Damage)
    _cache: dict[Path, Pixels] = field(default_factory=dict, repr=False)

    def preload(self) -> None:
        """Decodes every picture once, up to `CACHE_BYTES`; worker processes that are forked later share it."""
        files = [*self.sources.clean, *(path for pair in self.sources.pairs for path in pair if path)]
        size = 0
        for path in files:
            self._cache[path] = read(path)
            size += self._cache[path].nbytes
            if size > CACHE_BYTES:
                break
        for pair in self.sources.pairs:
            if all(path in self._cache for path in pair if path):
                self._pair(pair)  # partners that do not match are told now, not in the middle of the training

    def __getitem__(self, index: int) -> Paired:
        rng = np.random.default_rng((self.seed, index))
        use_pair = bool(self.sources.pairs) and (not self.sources.clean or rng.random() < self.pair_share)
        x, y = self._ready(rng) if use_pair else self.damage(self._clean(rng), rng)
        return Paired(to_tensor(x), to_tensor(y))

    def _ready(self, rng: Generator) -> tuple[Pixels, Pixels]:
        x, y = crop(self._pair(self.sources.pairs[int(rng.integers(len(self.sources.pairs)))]), self.size, rng, self.upright)
        if rng.random() < self.transplant:
            other = self._clean(rng)
            return transplant(x, y, other), other
        return x, y

    def _clean(self, rng: Generator) -> Pixels:
        chosen = int(rng.integers(len(self.sources.clean) + len(self.sources.pairs)))
        if chosen < len(self.sources.clean):
            picture = self._read(self.sources.clean[chosen])
        else:  # a pair's target is a clean photograph as well
            picture = self._pair(self.sources.pairs[chosen - len(self.sources.clean)])[1]
        shorter = min(picture.shape[:2])
        # A smaller copy of a photograph is a sharper one, without the marks of its JPEG compression.
        if rng.random() < 0.5 and shorter > self.size:
            scale = rng.uniform(self.size / shorter, 1)
            side = (max(self.size, round(picture.shape[1] * scale)), max(self.size, round(picture.shape[0] * scale)))
            picture = cv2.resize(picture, side, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        return crop((picture,), self.size, rng)[0]

    def _pair(self, pair: Pair) -> tuple[Pixels, Pixels]:
        return split(self._read(pair.source), self._read(pair.target) if pair.target else None, self.target_first, pair.source)

    def _read(self, path: Path) -> Pixels:
        cached = self._cache.get(path)
        return read(path) if cached is None else cached


def read(path: Path) -> Pixels:
    """A picture file as RGB `[H, W, 3]` uint8, turned as its EXIF says. Raises `ValueError` naming the file."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            turned = ImageOps.exif_transpose(picture)
            if turned.mode.startswith("I;16"):  # Pillow would clip it at 255
                turned = Image.fromarray((np.asarray(turned) / 257).round().astype(np.uint8))
            if turned.mode in ("I", "F"):
                raise ValueError(f"pixels of mode {turned.mode} have no known range; save it with 8 or 16 bits")
            return np.asarray(turned.convert("RGB"))
    except (OSError, ValueError, SyntaxError, TypeError, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error


def split(source: Pixels, target: Pixels | None, target_first: bool, path: Path) -> tuple[Pixels, Pixels]:
    """The two pictures of a pair, cut out of a joined one where there is no second file."""
    if target is None:
        half = source.shape[1] // 2
        if not half:
            raise ValueError(f"{path} is one pixel wide: no two pictures side by side")
        source, target = source[:, :half], source[:, half : 2 * half]
        return (target, source) if target_first else (source, target)
    if source.shape != target.shape:
        raise ValueError(f"{path} is {source.shape[1]}×{source.shape[0]} but its partner is {target.shape[1]}×{target.shape[0]}")
    return source, target


def crop(pair: tuple[Pixels, ...], size: int, rng: Generator, upright: bool = False) -> tuple[Pixels, ...]:
    """The same random square of every picture, mirrored and turned alike unless `upright`; smaller ones go on by reflection."""
    height, width = pair[0].shape[:2]
    if min(height, width) < size:
        fill = (0, max(0, size - height), 0, max(0, size - width), cv2.BORDER_REFLECT)
        pair = tuple(cv2.copyMakeBorder(picture, *fill) for picture in pair)  # type: ignore[misc]
        height, width = pair[0].shape[:2]
    top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
    turns, mirrored = (0, False) if upright else (int(rng.integers(4)), rng.random() < 0.5)
    squares = (np.rot90(picture[top : top + size, left : left + size], turns) for picture in pair)
    return tuple(np.ascontiguousarray(square[:, ::-1] if mirrored else square) for square in squares)


def transplant(damaged: Pixels, clean: Pixels, other: Pixels) -> Pixels:
    """Moves marks onto `other`: each pixel changes by as much as in the pair.

    Scans of dust and scratches are added to photographs, so a haze among them lies evenly over darks and lights.
    """
    change = damaged.astype(np.int16) - clean
    # A channel that ended at white or black tells only the least that it would have changed; another may tell more.
    change = np.where(damaged == 255, change.max(2, keepdims=True), change)
    change = np.where(damaged == 0, change.min(2, keepdims=True), change)
    return np.clip(other + change, 0, 255).astype(np.uint8)


def validation(sources: Sources, target_first: bool, limit: int = 16) -> dict[str, list[Paired]]:
    """Held-out pictures, fixed: `old` (pairs), `noise25` (Gaussian, deviation 25/255) and `clean` (untouched).

    Of large ones the middle alone, so that scans of any size fit into memory; empty where nothing can be measured.
    """
    sets: dict[str, list[Paired]] = {}
    pairs = [
        couple
        for pair in sources.held_pairs[:limit]
        for couple in _measurable(
            *split(read(pair.source), read(pair.target) if pair.target else None, target_first, pair.source)
        )
    ]
    photographs = [picture for path in spread(sources.held_clean, limit) for (picture,) in _measurable(read(path))]
    if not pairs:
        damage = Damage(sources.overlays, untouched=0, noise=0, marked=0.5)
        pairs = [damage(photograph, np.random.default_rng((1, k))) for k, photograph in enumerate(photographs)]
    if pairs:
        sets["old"] = [_paired(x, y) for x, y in pairs]
    if photographs:
        rngs = [np.random.default_rng((2, k)) for k in range(len(photographs))]
        sets["noise25"] = [
            _paired(gaussian_noise(photograph, 25 / 255, rng), photograph)
            for photograph, rng in zip(photographs, rngs, strict=True)
        ]
        sets["clean"] = [_paired(photograph, photograph) for photograph in photographs]
    return sets


def _measurable(*pictures: Pixels) -> Iterator[tuple[Pixels, ...]]:
    """The middle of equal pictures, or nothing where they are too small for the window of SSIM."""
    height, width = pictures[0].shape[:2]
    if min(height, width) >= SSIM_WINDOW:
        top, left = max(0, height - MEASURED) // 2, max(0, width - MEASURED) // 2
        yield tuple(picture[top : top + MEASURED, left : left + MEASURED] for picture in pictures)


def to_tensor(picture: Pixels) -> Tensor:
    """`[H, W, 3]` uint8 to `[3, H, W]` float32 in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float().div_(127.5).sub_(1)


def start_worker(_: int) -> None:
    """Ends OpenCV's threads: every worker would have as many as the machine has processors, and no fork survives them."""
    cv2.setNumThreads(1)


def _paired(x: Pixels, y: Pixels) -> Paired:
    return Paired(to_tensor(x)[None], to_tensor(y)[None])


def spread(items: Sequence[Path], limit: int) -> Sequence[Path]:
    """At most `limit` of them, evenly over all folders."""
    return items[:: max(1, -(-len(items) // limit))]


def is_held(path: Path, share: float) -> bool:
    """Whether this file is never trained on: decided by its name alone, so that it stays so when files are added."""
    digest = hashlib.blake2b(path.stem.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") < share * 2**32
