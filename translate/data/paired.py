"""Restoration: clean photographs that are damaged on the fly, and ready-made pairs of a damaged and a clean one.

A sample is a function of (seed, index) alone: whatever the number of workers, and after any resume, sample 1,000 is the
same sample 1,000.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import Dataset

from translate.data.damage import Damage, gaussian_noise, read_overlays
from translate.data.layouts import SUFFIXES, Pair, is_held, pairs_in, pictures, spread
from translate.data.pixels import Paired, as_pair, decode, half, preload, read_pair, same_size, to_tensor
from translate.runtime.codecs.bands import to_8_bits

Pixels = NDArray[np.uint8]

MEASURED = 1024
"""Largest side of a validation picture, in pixels."""
SSIM_WINDOW = 11


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
    couples = [pair for name in pairs for pair in pairs_in(root / name, target_first)]
    if not photographs and not couples:
        couples = pairs_in(root, target_first) if (root / "A").is_dir() and (root / "B").is_dir() else []
        marks = [root / name for name in overlays]
        photographs = [] if couples else [path for path in pictures(root) if not any(map(path.is_relative_to, marks))]
    if not photographs and not couples:
        raise ValueError(f"--data {root} holds no pictures ({', '.join(sorted(SUFFIXES))}): nothing to train on")
    found = Sources(
        clean=[path for path in photographs if not is_held(path.stem, holdout)],
        pairs=[pair for pair in couples if not is_held(pair.x.name, holdout)],
        overlays=[overlay for name in overlays if (root / name).is_dir() for overlay in read_overlays(root / name)],
        held_clean=[path for path in photographs if is_held(path.stem, holdout)],
        held_pairs=[pair for pair in couples if is_held(pair.x.name, holdout)],
    )
    if not found.clean and not found.pairs:
        raise ValueError(f"--data {root}: all pictures are held out for validation; add some, or lower data.holdout")
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
    upright: bool = False
    """Ready-made pairs are neither turned nor mirrored, because their marks have a direction, as film's scratches do."""
    damage: Damage = field(default_factory=Damage)
    _cache: dict[Path, Pixels] = field(default_factory=dict, repr=False)
    _used: list[Path] = field(default_factory=list, init=False, repr=False)

    def preload(self) -> None:
        """Decodes every picture once, up to a limit; worker processes that are forked later share it."""
        files = [*self.sources.clean, *(view.path for pair in self.sources.pairs for view in pair)]
        self._cache |= preload(files, read)
        for pair in self.sources.pairs:
            if all(view.path in self._cache for view in pair):
                self._pair(pair)  # partners that do not match are told now, not in the middle of the training

    def files(self, index: int) -> list[Path]:
        """What sample `index` is made of; it is made again for it."""
        self[index]
        return list(self._used)

    def __getitem__(self, index: int) -> Paired:
        self._used.clear()
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
        first = self._read(pair.x.path)
        second = first if pair.y.path == pair.x.path else self._read(pair.y.path)
        x, y = same_size(half(first, pair.x), half(second, pair.y), pair)
        return to_8_bits(x), to_8_bits(y)

    def _read(self, path: Path) -> Pixels:
        self._used.append(path)
        cached = self._cache.get(path)
        return read(path) if cached is None else cached


def read(path: Path) -> Pixels:
    """A picture file as RGB `[H, W, 3]` of 8 bits, turned as its EXIF says. Raises `ValueError` naming the file."""
    return to_8_bits(decode(path))


def both(pair: Pair) -> tuple[Pixels, Pixels]:
    """The two pictures of a pair, as RGB of 8 bits. Raises `ValueError` where they do not match."""
    x, y = map(to_8_bits, read_pair(pair))
    return x, y


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


def validation(sources: Sources, limit: int = 16) -> dict[str, list[Paired]]:
    """Held-out pictures, fixed: `old` (pairs), `noise25` (Gaussian, deviation 25/255) and `clean` (untouched).

    Of large ones the middle alone, so that scans of any size fit into memory; empty where nothing can be measured.
    """
    sets: dict[str, list[Paired]] = {}
    pairs = [couple for pair in sources.held_pairs[:limit] for couple in _measurable(*both(pair))]
    photographs = [picture for path in spread(sources.held_clean, limit) for (picture,) in _measurable(read(path))]
    if not pairs:
        damage = Damage(sources.overlays, untouched=0, noise=0, marked=0.5)
        pairs = [damage(photograph, np.random.default_rng((1, k))) for k, photograph in enumerate(photographs)]
    if pairs:
        sets["old"] = [as_pair(x, y) for x, y in pairs]
    if photographs:
        rngs = [np.random.default_rng((2, k)) for k in range(len(photographs))]
        sets["noise25"] = [
            as_pair(gaussian_noise(photograph, 25 / 255, rng), photograph)
            for photograph, rng in zip(photographs, rngs, strict=True)
        ]
        sets["clean"] = [as_pair(photograph, photograph) for photograph in photographs]
    return sets


def _measurable(*pictures: Pixels) -> Iterator[tuple[Pixels, ...]]:
    """The middle of equal pictures, or nothing where they are too small for the window of SSIM."""
    height, width = pictures[0].shape[:2]
    if min(height, width) >= SSIM_WINDOW:
        top, left = max(0, height - MEASURED) // 2, max(0, width - MEASURED) // 2
        yield tuple(picture[top : top + MEASURED, left : left + MEASURED] for picture in pictures)
