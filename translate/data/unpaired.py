"""Two domains of pictures without pairs: a sample is one picture of each, drawn and augmented on their own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from translate.data.paired import CACHE_BYTES, Paired, is_held, pictures, read, spread, to_tensor

Pixels = NDArray[np.uint8]
LAYOUTS = (("trainA", "trainB"), ("A", "B"))
VALIDATION = ("valA", "valB")


@dataclass(frozen=True)
class Domains:
    """The pictures of X and Y to train on, and those that are never trained on."""

    x: Sequence[Path]
    y: Sequence[Path]
    held_x: Sequence[Path]
    held_y: Sequence[Path]

    @property
    def pairs(self) -> list[tuple[Path, Path]]:
        """Held-out pictures of one name in both domains: what a translation should look like is known."""
        targets = {path.stem: path for path in self.held_y}
        return [(path, targets[path.stem]) for path in self.held_x if path.stem in targets]

    def __str__(self) -> str:
        return (
            f"{len(self.x)} and {len(self.y)} pictures to train on; "
            f"held out: {len(self.held_x)} and {len(self.held_y)}, of which {len(self.pairs)} are pairs"
        )


def find(root: Path, source: str, target: str, holdout: float) -> Domains:
    """Looks through `root` for the folders `source` and `target`, or, where these are empty, for trainA and trainB, or A and B.

    Held out are valA and valB where there are any, else the share `holdout` of each, chosen by file name, so that pictures
    of one name are held out together. Raises `ValueError` where a domain has no pictures.
    """
    if not root.is_dir():
        raise ValueError(f"--data {root} is not a folder")
    if bool(source) != bool(target):
        raise ValueError(f"data.source = {source!r} and data.target = {target!r}: give both folders or neither")
    layouts = ((source, target),) if source else LAYOUTS
    layout = next((both for both in layouts if all((root / name).is_dir() for name in both)), None)
    if layout is None:
        wanted = " or ".join(" and ".join(both) for both in layouts)
        raise ValueError(f"--data {root} has no folders {wanted}; name yours with --set data.source=… --set data.target=…")
    domains = [pictures(root / name) for name in layout]
    if not source and all((root / name).is_dir() for name in VALIDATION):
        held = [pictures(root / name) for name in VALIDATION]
        learned = domains
    else:
        held = [[path for path in found if is_held(path, holdout)] for found in domains]
        learned = [[path for path in found if not is_held(path, holdout)] for found in domains]
    for name, found in zip(layout, learned, strict=True):
        if not found:
            raise ValueError(f"{root / name} has no pictures to train on (beside those held out)")
    return Domains(*learned, *held)


@dataclass
class Unpaired(Dataset[Paired]):
    """Samples (x, y), endless: any index ≥ 0 is valid, and decides its sample together with the seed."""

    domains: Domains
    size: int = 256
    """Side of the square crops, in pixels."""
    load: int = 286
    """Pictures are scaled so that their shorter side has so many pixels, before crops are cut."""
    mirror: bool = True
    """Half of the crops are mirrored; not for letters and digits."""
    seed: int = 0
    _cache: dict[Path, Pixels] = field(default_factory=dict, repr=False)
    _augment: A.Compose = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.load < self.size:
            raise ValueError(f"data.load = {self.load} is smaller than the crops, data.size = {self.size}")
        self._augment = A.Compose([A.RandomCrop(self.size, self.size), A.HorizontalFlip(p=0.5 if self.mirror else 0)])

    def preload(self) -> None:
        """Decodes and scales every picture once, up to `CACHE_BYTES`; worker processes that are forked later share them."""
        size = 0
        for path in (*self.domains.x, *self.domains.y):
            self._cache[path] = scaled(read(path), self.load)
            size += self._cache[path].nbytes
            if size > CACHE_BYTES:
                break

    def __getitem__(self, index: int) -> Paired:
        rng = np.random.default_rng((self.seed, index))
        drawn = [found[int(rng.integers(len(found)))] for found in (self.domains.x, self.domains.y)]
        return Paired(*(self._crop(path, int(rng.integers(2**31))) for path in drawn))

    def _crop(self, path: Path, seed: int) -> Tensor:
        picture = self._cache.get(path)
        picture = scaled(read(path), self.load) if picture is None else picture
        self._augment.set_random_seed(seed)
        return to_tensor(self._augment(image=picture)["image"])


def scaled(picture: Pixels, shorter: int) -> Pixels:
    """The picture with its shorter side of so many pixels."""
    height, width = picture.shape[:2]
    factor = shorter / min(height, width)
    if factor == 1:
        return picture
    side = (max(shorter, round(width * factor)), max(shorter, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC  # cubic alone would not smooth what it drops
    return np.asarray(cv2.resize(picture, side, interpolation=how), np.uint8)


def validation(domains: Domains, size: int, limit: int = 32) -> tuple[list[Paired], list[Paired]]:
    """Held-out pictures in the training size, cut in the middle: pairs of known translations, and pictures without."""

    def seen(path: Path) -> Tensor:
        picture = scaled(read(path), size)
        top, left = ((side - size) // 2 for side in picture.shape[:2])
        return to_tensor(picture[top : top + size, left : left + size])[None]

    known = [Paired(seen(x), seen(y)) for x, y in domains.pairs[:: max(1, len(domains.pairs) // limit)][:limit]]
    alone = list(zip(spread(domains.held_x, limit), spread(domains.held_y, limit), strict=False))
    return known, [Paired(seen(x), seen(y)) for x, y in alone]
