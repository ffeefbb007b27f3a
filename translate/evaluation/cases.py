"""What is measured on: pairs, or sources and real pictures of the target, read one by one."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from translate.data.damage import gaussian_noise
from translate.data.layouts import Pair, Part, View, pictures, recognise
from translate.data.pixels import Pixels, middle, read, scaled, to_tensor

PREFERRED = ("test", "val", "train")
"""The split that is measured on, where none is named."""


class Case(NamedTuple):
    name: str
    source: Pixels
    """`[H, W, 3]`, 8 or 16 bits."""
    target: Tensor | None
    """`[1, 3, s·H, s·W]` in 0..1."""
    label: int | None


@dataclass(frozen=True)
class Cases:
    """Iterable over `Case`. `str` gives what a card says of the test set."""

    where: str
    """Data and split, without the folders above them, which are nobody's concern."""
    sources: Sequence[View]
    targets: Sequence[View] = ()
    """The partner of each source, or none at all."""
    references: Sequence[View] = ()
    """Real pictures of the target without a partner."""
    labels: Mapping[str, int] = field(default_factory=dict)
    size: int = 0
    """Shorter side that pictures are scaled to; the middle square is measured on. 0: whole pictures as they are."""
    scale: int = 1
    maps: bool = False
    """Targets are maps of classes: colours are never mixed."""
    noise: int | None = None
    """The sources are clean photographs; Gaussian noise of this deviation, in grey levels, is to be taken away."""

    def with_classes(self, labels: Path | None = None) -> "Cases":
        """These with the class of each source; see `classes`."""
        return replace(self, labels=classes(self.sources, labels))

    def __len__(self) -> int:
        return len(self.sources)

    def __str__(self) -> str:
        kind = f"{len(self)} pairs" if self.targets else f"{len(self)} pictures"
        if self.noise is not None:
            how = f"with Gaussian noise of deviation {self.noise}/255" if self.noise else "untouched"
            kind = f"{len(self)} photographs {how}"
        real = f" against {len(self.references)} real ones" if self.references else ""
        size = f"resized to {self.size}×{self.size} (shorter side scaled, middle cut)" if self.size else "in their own size"
        return f"{self.where}: {kind}{real}, {size}"

    def __iter__(self) -> Iterator[Case]:
        for index, view in enumerate(self.sources):
            source = fitted(read(view), self.size)
            target = self._target(index, source)
            if self.noise:
                source = gaussian_noise(_eight_bits(source), self.noise / 255, np.random.default_rng((2, index)))
            height, width = source.shape[:2]
            if target is not None and target.shape[:2] != (height * self.scale, width * self.scale):
                raise ValueError(
                    f"{view.path} is translated into {width * self.scale}×{height * self.scale} pixels, but its target has "
                    f"{target.shape[1]}×{target.shape[0]}"
                )
            yield Case(view.name, source, None if target is None else shown(target), self.labels.get(view.name))

    def _target(self, index: int, source: Pixels) -> Pixels | None:
        if self.noise is not None:
            return source
        return fitted(read(self.targets[index]), self.size * self.scale, self.maps) if self.targets else None

    def real(self) -> Iterator[Tensor]:
        for view in self.references:
            yield shown(fitted(read(view), self.size * self.scale, self.maps))


def find(
    data: Path,
    *,
    reference: Path | None = None,
    split: str = "",
    alone: bool = False,
    folders: tuple[str, str] = ("", ""),
    joined: bool = False,
    target_first: bool = False,
    holdout: float = 0,
    limit: int = 0,
    noise: int | None = None,
    size: int = 0,
    scale: int = 1,
    maps: bool = False,
) -> Cases:
    """The cases in a folder of any layout that is trained from; or its pictures, beside a folder of real ones of the target.

    `split` is `train`, `val` or `test`; where it is empty, the last of these that is there. `folders` names those of source and
    target; `alone`: the folder holds sources and nothing else. `holdout` keeps to what a training with this `data.holdout` left
    out; `limit` to the first so many.
    Raises `ValueError` where there is nothing to measure on.
    """
    name = "/".join(data.resolve().parts[-2:]).lstrip("/")
    if alone or reference or noise is not None:
        part = Part(_views(data), _views(reference) if reference else [])
        paired = False
    else:
        layout = recognise(data, *folders, joined=joined, target_first=target_first)
        chosen = split or next(found for found in PREFERRED if found in layout.splits)
        if chosen not in layout.splits:
            raise ValueError(f"{data} has no split {chosen!r}, but {', '.join(layout.splits)} ({layout.says})")
        part = layout.splits[chosen]
        name = name if list(layout.splits) == ["train"] and not split else f"{name}, {chosen}"
        paired = layout.paired or not part.lonely
    if holdout:
        part = part.held(holdout)[1]
        name += f", the share {holdout:g} that training holds out"
    pairs: list[Pair] = part.pairs() if paired else []
    sources = [pair.x for pair in pairs] or list(part.x)
    if not sources:
        raise ValueError(f"{data} has no pictures to measure on" + (", beside those to train on" if holdout else ""))
    cut = limit or len(sources)
    return Cases(
        where=name,
        sources=sources[:cut],
        targets=[pair.y for pair in pairs][:cut],
        references=[] if paired else list(part.y),
        noise=noise,
        size=size,
        scale=scale,
        maps=maps,
    )


def classes(views: Sequence[View], file: Path | None = None) -> dict[str, int]:
    """The class of each picture, from 0: from a list (`name,class` in each line), else from the folder that it is sorted into.

    Folders are numbers, or else counted in the order of their names. Raises `ValueError` where a picture has none.
    """
    if file is None:
        folders = {view.name: view.name.partition("/")[0] for view in views if "/" in view.name}
        names = sorted(set(folders.values()))
        order = {n: int(n) for n in names} if all(map(str.isdecimal, names)) else {n: k for k, n in enumerate(names)}
        found = {name: order[folder] for name, folder in folders.items()}
    else:
        try:
            rows = [row for row in csv.reader(file.read_text(encoding="utf-8").splitlines(), skipinitialspace=True) if row]
            found = {Path(name).with_suffix("").as_posix(): int(label) for name, label in rows}
        except (OSError, ValueError) as error:
            raise ValueError(f"--labels {file}: wanted are lines of a picture's name and its class, from 0 ({error})") from error
    if missing := [view.name for view in views if found.get(view.name, -1) < 0]:
        raise ValueError(
            f"{len(missing)} pictures have no class, such as {missing[0]}: "
            "sort them into a folder for each class, or give --labels"
        )
    return found


def fitted(pixels: Pixels, size: int, nearest: bool = False) -> Pixels:
    """The middle square of `size` pixels, once the shorter side has been scaled to that. `nearest` mixes no colours."""
    if not size:
        return pixels
    height, width = pixels.shape[:2]
    if nearest:
        factor = size / min(height, width)
        side = (max(size, round(width * factor)), max(size, round(height * factor)))
        pixels = np.asarray(cv2.resize(pixels, side, interpolation=cv2.INTER_NEAREST_EXACT), pixels.dtype)
    return middle(scaled(pixels, size), size)


def shown(pixels: Pixels) -> Tensor:
    """`[H, W, 3]` of 8 or 16 bits to float32 `[1, 3, H, W]` in 0..1."""
    return (to_tensor(pixels)[None] + 1) / 2


def _views(folder: Path) -> list[View]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    return [View(path, path.relative_to(folder).with_suffix("").as_posix()) for path in pictures(folder)]


def _eight_bits(pixels: Pixels) -> NDArray[np.uint8]:
    return pixels if pixels.dtype == np.uint8 else (pixels / 257).round().astype(np.uint8)
