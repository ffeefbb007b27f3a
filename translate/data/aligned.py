"""Aligned pairs of any two domains: x and y show one thing, so both are cut, mirrored and turned alike (Isola et al. 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import albumentations as A
import numpy as np
from torch.utils.data import Dataset

from translate.data.layouts import Layout, Pair, spread
from translate.data.pixels import Paired, Pixels, as_pair, augmentation, check_load, middle, preload, read_pair, scaled, to_tensor


@dataclass(frozen=True)
class Pairs:
    """The pairs to train on, and those that are never trained on."""

    says: str
    learned: Sequence[Pair]
    held: Sequence[Pair]

    def __str__(self) -> str:
        return f"{self.says}: {len(self.learned)} pairs to train on; held out: {len(self.held)}"


def find(root: Path, layout: Layout, holdout: float) -> Pairs:
    """Raises `ValueError` where a picture has no partner, or nothing is left to train on."""
    learned, held = (part.pairs() for part in layout.learned(holdout))
    if not learned:
        raise ValueError(f"{root} ({layout.says}) has no pairs to train on, beside {len(held)} that are held out")
    return Pairs(layout.says, learned, held)


@dataclass
class Aligned(Dataset[Paired]):
    """Samples (x, y), endless: any index ≥ 0 is valid, and decides its sample together with the seed.

    Every pair comes once in each round through all of them, in an order that changes from round to round.
    """

    pairs: Sequence[Pair]
    size: int = 256
    """Side of the square crops, in pixels."""
    load: int = 286
    """Pictures are scaled so that their shorter side has so many pixels, before crops are cut."""
    mirror: bool = True
    """Half of the crops are mirrored."""
    turn: bool = False
    """Crops are turned by 0, 90, 180 or 270°."""
    channels: tuple[int, int] = (3, 3)
    """Of x and y: 3, or 1 for grey."""
    seed: int = 0
    _cache: dict[Pair, tuple[Pixels, Pixels]] = field(default_factory=dict, repr=False)
    _order: tuple[int, Sequence[int]] = field(default=(-1, ()), init=False, repr=False)
    _augment: A.Compose = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_load(self.load, self.size)
        self._augment = augmentation(self.size, self.mirror, self.turn)

    def preload(self) -> None:
        """Decodes and scales every pair once, up to a limit; worker processes that are forked later share them."""
        self._cache |= preload(self.pairs, self._make)

    def __getitem__(self, index: int) -> Paired:
        place = self._place(index)
        x, y = self._cache.get(place) or self._make(place)
        self._augment.set_random_seed(int(np.random.default_rng((self.seed, index)).integers(2**31)))
        both = self._augment(image=x, target=y)
        return Paired(to_tensor(both["image"]), to_tensor(both["target"]))

    def files(self, index: int) -> list[Path]:
        """What sample `index` is made of."""
        return [view.path for view in self._place(index)]

    def _place(self, index: int) -> Pair:
        turn, place = divmod(index, len(self.pairs))
        if self._order[0] != turn:
            self._order = turn, np.random.default_rng((self.seed, turn, 1)).permutation(len(self.pairs)).tolist()
        return self.pairs[self._order[1][place]]

    def _make(self, pair: Pair) -> tuple[Pixels, Pixels]:
        x, y = read_pair(pair, self.channels)
        return scaled(x, self.load), scaled(y, self.load)


def validation(pairs: Sequence[Pair], size: int, channels: tuple[int, int] = (3, 3), limit: int = 32) -> list[Paired]:
    """Held-out pairs in the training size, cut in the middle."""
    read = (read_pair(pair, channels) for pair in spread(pairs, limit))
    return [as_pair(*(middle(scaled(picture, size), size) for picture in couple)) for couple in read]
