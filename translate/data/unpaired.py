"""Two domains of pictures without pairs: a sample is one picture of each, drawn and augmented on their own."""

from dataclasses import dataclass, field
from pathlib import Path

import albumentations as A
import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from translate.data.layouts import Layout, Pair, Part, View, spread
from translate.data.pixels import Paired, Pixels, as_pair, augmentation, check_load, middle, preload, read, scaled, to_tensor


@dataclass(frozen=True)
class Domains:
    """The pictures of X and Y to train on, and those that are never trained on."""

    says: str
    learned: Part
    held: Part

    @property
    def pairs(self) -> list[Pair]:
        """Held-out pictures of one name in both domains: what a translation should look like is known."""
        return self.held.known

    def __str__(self) -> str:
        return (
            f"{self.says}: {len(self.learned.x)} and {len(self.learned.y)} pictures to train on; "
            f"held out: {len(self.held.x)} and {len(self.held.y)}, of which {len(self.pairs)} are pairs"
        )


def find(root: Path, layout: Layout, holdout: float) -> Domains:
    """Raises `ValueError` where a domain has no pictures left to train on."""
    found = Domains(layout.says, *layout.learned(holdout))
    for name, side, held in (("source", found.learned.x, found.held.x), ("target", found.learned.y, found.held.y)):
        if not side:
            raise ValueError(f"{root} ({layout.says}) has no {name} pictures to train on, beside {len(held)} that are held out")
    return found


@dataclass
class Unpaired(Dataset[Paired]):
    """Samples (x, y), endless: any index ≥ 0 is valid, and decides its sample together with the seed."""

    part: Part
    size: int = 256
    """Side of the square crops, in pixels."""
    load: int = 286
    """Pictures are scaled so that their shorter side has so many pixels, before crops are cut."""
    mirror: bool = True
    """Half of the crops are mirrored; not for letters and digits."""
    turn: bool = False
    """Crops are turned by 0, 90, 180 or 270°."""
    channels: tuple[int, int] = (3, 3)
    """Of x and y: 3, or 1 for grey."""
    seed: int = 0
    _cache: dict[tuple[View, int], Pixels] = field(default_factory=dict, repr=False)
    _augment: A.Compose = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_load(self.load, self.size)
        self._augment = augmentation(self.size, self.mirror, self.turn)

    def preload(self) -> None:
        """Decodes and scales every picture once, up to a limit; worker processes that are forked later share them."""
        sides = zip(self.part, self.channels, strict=True)
        self._cache |= preload(((view, channels) for side, channels in sides for view in side), self._make)

    def __getitem__(self, index: int) -> Paired:
        drawn, rng = self._draw(index)
        seeds = [int(rng.integers(2**31)) for _ in drawn]
        return Paired(*map(self._crop, drawn, self.channels, seeds))

    def files(self, index: int) -> list[Path]:
        """What sample `index` is made of."""
        return [view.path for view in self._draw(index)[0]]

    def _draw(self, index: int) -> tuple[list[View], np.random.Generator]:
        rng = np.random.default_rng((self.seed, index))
        return [found[int(rng.integers(len(found)))] for found in self.part], rng

    def _crop(self, view: View, channels: int, seed: int) -> Tensor:
        picture = self._cache.get((view, channels))
        self._augment.set_random_seed(seed)
        return to_tensor(self._augment(image=self._make((view, channels)) if picture is None else picture)["image"])

    def _make(self, key: tuple[View, int]) -> Pixels:
        return scaled(read(*key), self.load)


def validation(
    domains: Domains, size: int, channels: tuple[int, int] = (3, 3), limit: int = 32
) -> tuple[list[Paired], list[Paired]]:
    """Held-out pictures in the training size, cut in the middle: pairs of known translations, and pictures without."""

    def seen(x: View, y: View) -> Paired:
        return as_pair(*(middle(scaled(read(*side), size), size) for side in zip((x, y), channels, strict=True)))

    known = [seen(*pair) for pair in spread(domains.pairs, limit)]
    return known, [seen(x, y) for x, y in zip(*(spread(side, limit) for side in domains.held), strict=False)]
