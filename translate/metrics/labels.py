"""Pictures that show a map of classes in colours, and classes that a network reads off pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from translate.metrics import Result, Score


@dataclass(frozen=True)
class Palette:
    """The classes of a label map and their colours, `[K, 3]` in 0..255."""

    names: tuple[str, ...]
    colours: NDArray[np.float32]

    @classmethod
    def read(cls, path: Path) -> "Palette":
        """A text file with a class in each line: red, green, blue and a name. `#` begins a remark. Raises `ValueError`."""
        try:
            lines = [line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"palette {path} cannot be read: {error}") from error
        rows: list[tuple[str, list[int]]] = []
        for number, line in enumerate(lines, 1):
            parts = line.replace(",", " ").split(maxsplit=3)
            if not parts:
                continue
            numbers = [int(part) for part in parts[:3] if part.isascii() and part.isdigit() and int(part) <= 255]
            if len(parts) < 4 or len(numbers) < 3:
                raise ValueError(f"{path}, line {number}: a class is told as 'red green blue name', such as '0 85 255 window'")
            rows.append((parts[3].strip(), numbers))
        if len({name for name, _ in rows}) < max(2, len(rows)) or len({tuple(colour) for _, colour in rows}) < len(rows):
            raise ValueError(f"palette {path}: two classes at the least are wanted, each with a name and a colour of its own")
        return cls(tuple(name for name, _ in rows), np.array([colour for _, colour in rows], np.float32))

    def classes(self, picture: Tensor) -> Tensor:
        """`[1, 3, H, W]` in 0..1 to `[H, W]`: for each pixel, the index of the nearest colour (Euclidean, in RGB)."""
        pixels, nearest = picture[0] * 255, torch.zeros(picture.shape[2:], dtype=torch.uint8)
        best = torch.full(picture.shape[2:], torch.inf)
        for index, colour in enumerate(torch.from_numpy(self.colours)):  # one by one, so that large pictures need little memory
            far = (pixels - colour[:, None, None]).square().sum(0)
            nearest[far < best], best = index, torch.minimum(best, far)
        return nearest


FACADES = Palette(
    ("background", "facade", "window", "door", "cornice", "sill", "balcony", "blind", "deco", "molding", "pillar", "shop"),
    np.array(
        [
            *([0, 0, 170], [0, 0, 255], [0, 85, 255], [0, 170, 255], [0, 255, 255], [85, 255, 170]),
            *([170, 255, 85], [255, 255, 0], [255, 170, 0], [255, 85, 0], [255, 0, 0], [170, 0, 0]),
        ],
        np.float32,
    ),
)
"""CMP facades (Tyleček and Šára 2013)."""
PALETTES: Mapping[str, Palette] = {"facades": FACADES}


def named(name: str) -> Palette:
    """A palette of `PALETTES`, or of a file. Raises `ValueError`."""
    if name in PALETTES:
        return PALETTES[name]
    if not Path(name).is_file():
        raise ValueError(f"no palette {name!r}: known are {', '.join(PALETTES)}; or name a file of 'red green blue name' lines")
    return Palette.read(Path(name))


@dataclass
class Segmentation:
    """Per-pixel accuracy, per-class accuracy and mean IoU (Long et al. 2015, section 5), summed over all pictures.

    Both pictures are read by nearest colour. The means are over the classes that the targets hold.
    """

    palette: Palette
    _table: Tensor | None = None

    def add(self, result: Result) -> None:
        if result.real is None:
            raise ValueError(f"{result.name} has no label map to compare with")
        fake, real = (self.palette.classes(picture) for picture in (result.fake, result.real))
        found = multiclass_confusion_matrix(fake, real, num_classes=len(self.palette.names))
        self._table = found if self._table is None else self._table + found

    def scores(self) -> dict[str, Score]:
        table = self.table
        there = table.sum(1) > 0
        return {
            "pixel-accuracy": Score(float(table.diag().sum() / table.sum())),
            "class-accuracy": Score(float(self._recall()[there].mean())),
            "iou": Score(float(self._overlap()[there].mean())),
        }

    def by_class(self) -> dict[str, dict[str, float]]:
        """Accuracy, IoU and share of the pixels of each class that the targets hold."""
        table, there = self.table, self.table.sum(1) > 0
        columns = {"accuracy": self._recall(), "iou": self._overlap(), "share": table.sum(1) / table.sum()}
        return {
            name: {key: float(column[index]) for key, column in columns.items()}
            for index, name in enumerate(self.palette.names)
            if there[index]
        }

    @property
    def table(self) -> Tensor:
        """`[true class, class read]`, in pixels."""
        if self._table is None:
            raise ValueError("no label map has been compared")
        return self._table.double()

    def _recall(self) -> Tensor:
        return self.table.diag() / self.table.sum(1)

    def _overlap(self) -> Tensor:
        return self.table.diag() / (self.table.sum(0) + self.table.sum(1) - self.table.diag())


@dataclass
class Recognised:
    """How many translations a classifier gives the class of their sources; and, untranslated, the sources themselves."""

    classifier: Callable[[Tensor], Tensor]
    """`[1, classes]` for a picture; the greatest counts."""
    _right: dict[str, list[float]] = field(default_factory=lambda: {"accuracy": [], "accuracy-untranslated": []})

    def add(self, result: Result) -> None:
        if result.label is None:
            raise ValueError(f"{result.name} has no class: sort the pictures into folders, or give --labels")
        for name, picture in zip(self._right, (result.fake, result.source), strict=True):
            scores = self.classifier(picture)
            if result.label >= scores.shape[1]:
                raise ValueError(f"{result.name} is of class {result.label}, but the classifier knows {scores.shape[1]}, from 0")
            self._right[name].append(float(int(scores.argmax()) == result.label))

    def scores(self) -> dict[str, Score]:
        return {name: Score.mean(right) for name, right in self._right.items()}
