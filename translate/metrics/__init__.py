"""Measures of translated pictures: one idea per file, the mathematics left to torchmetrics.

A picture is float32 `[1, 3, H, W]` in 0..1. A measure takes results one by one with `add` and sums them up in `scores`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor


class Score(NamedTuple):
    value: float
    error: float | None = None
    """Standard error over pictures, where it is known."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % confidence, in the normal approximation."""
        return None if self.error is None else (self.value - 1.96 * self.error, self.value + 1.96 * self.error)

    @classmethod
    def mean(cls, found: Sequence[float]) -> "Score":
        error = float(np.std(found, ddof=1)) / math.sqrt(len(found)) if len(found) > 1 else None
        return cls(float(np.mean(found)), error)


class Result(NamedTuple):
    """One translated picture and what is known of it."""

    name: str
    source: Tensor
    fake: Tensor
    real: Tensor | None = None
    """What the translation should look like."""
    label: int | None = None
    """The class of what the picture shows."""


class Measure(Protocol):
    def add(self, result: Result) -> None:
        """Raises `ValueError`, which names the picture, where it cannot be measured."""

    def scores(self) -> dict[str, Score]: ...
