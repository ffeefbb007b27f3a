"""Pairing: two folders of partners become one that can be trained on: joined or side by side, of one size, and split."""

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from translate.data.layouts import Pair, Part, rank, views
from translate.data.pixels import Pixels, decode, resized, same_size, scaled, to_channels
from translate.runtime.picture import Picture

STRETCH = 0.02
"""Most by which partners' shapes may differ, where one is scaled to the other's size."""


@dataclass(frozen=True)
class Pairing:
    """How pictures are paired. Written as PNG, with the bits and the channels that they have."""

    size: int = 0
    """Shorter side that both are scaled to, in pixels; 0: as they are, which has to be the same."""
    joined: bool = False
    """One picture each, source left and target right, in place of two folders."""
    maps: Literal["", "a", "b", "both"] = ""
    """The sides that are label maps: scaled without mixing their colours."""
    val: float = 0.1
    """Share of the pairs for validation."""
    test: float = 0

    def __post_init__(self) -> None:
        if self.size < 0 or min(self.val, self.test) < 0 or self.val + self.test >= 1:
            raise ValueError(
                "size, val and test are 0 or more, and val and test together are below 1: something has to be learned"
            )

    def write(self, a: Path, b: Path, out: Path, tell: Callable[[int, int], None] = lambda done, total: None) -> dict[str, int]:
        """Pairs pictures of one name below `a` and `b`, and returns how many went into each split.

        All of `out` appears at once, when it is complete. Raises `ValueError`, and writes nothing, where it is there already, or
        a picture has no partner, cannot be read, or does not match.
        """
        if out.exists():
            raise ValueError(f"{out} is there already: choose another folder, or remove it")
        for folder in (a, b):
            if not folder.is_dir():
                raise ValueError(f"{folder} is not a folder")
        splits = self._split(Part(views(a), views(b)).pairs())
        jobs = [(split, pair) for split, pairs in splits.items() for pair in pairs]
        if not splits["train"]:
            raise ValueError(f"{a} and {b} hold {len(jobs)} pairs: too few to train on beside those for val and test")
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
        try:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for done, _ in enumerate(pool.map(lambda job: self._one(partial, *job), jobs), 1):
                    tell(done, len(jobs))
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return {split: len(pairs) for split, pairs in splits.items() if pairs}

    def _split(self, pairs: Sequence[Pair]) -> dict[str, Sequence[Pair]]:
        """By a number that follows from the name, so that the same pictures are split alike again."""
        ranked = sorted(pairs, key=lambda pair: (rank(pair.x.name), pair.x.name))
        val, test = (min(len(pairs) - 1, max(1, round(share * len(pairs)))) if share else 0 for share in (self.val, self.test))
        return {"val": ranked[:val], "test": ranked[val : val + test], "train": ranked[val + test :]}

    def _one(self, folder: Path, split: str, pair: Pair) -> None:
        a, b = self._sized(pair)
        if self.joined:
            channels, depth = max(a.shape[2], b.shape[2]), max(a.dtype, b.dtype)
            _save(np.concatenate([_deep(to_channels(side, channels), depth) for side in (a, b)], axis=1), folder / split, pair)
        else:
            for side, picture in (("A", a), ("B", b)):
                _save(picture, folder / f"{split}{side}", pair)

    def _sized(self, pair: Pair) -> tuple[Pixels, Pixels]:
        a, b = (decode(view.path, None) for view in pair)
        if not self.size:
            return same_size(a, b, pair)
        shapes = [side.shape[1] / side.shape[0] for side in (a, b)]
        if max(shapes) > (1 + STRETCH) * min(shapes):
            sizes = (f"{view.path} is {side.shape[1]}×{side.shape[0]}" for view, side in zip(pair, (a, b), strict=True))
            raise ValueError(f"{' but its partner '.join(sizes)}: their shapes differ; cut them alike first")
        sharp = [cv2.INTER_NEAREST if self.maps in (side, "both") else None for side in "ab"]
        first = scaled(a, self.size, sharp[0])
        return first, resized(b, first.shape[1], first.shape[0], sharp[1])


def _deep(pixels: Pixels, depth: np.dtype) -> Pixels:
    return pixels if pixels.dtype == depth else pixels.astype(np.uint16) * 257


def _save(pixels: Pixels, folder: Path, pair: Pair) -> None:
    path = folder / f"{pair.x.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture(np.ascontiguousarray(pixels)).save(path)
