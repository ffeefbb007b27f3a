"""How much translations of one picture differ between seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from torch import Tensor

from translate.metrics import Score
from translate.metrics.networks import cosine_distance


@dataclass
class Diversity:
    """Means over pictures, and over all couples of seeds of each.

    `diversity-pixels`: mean absolute difference in grey levels, 0..255; with `features`, `diversity-features`: 1 − cos of
    `[1, D]` features; with `lpips`, `diversity-lpips`, as the papers on many-to-many translation have it.
    """

    features: Callable[[Tensor], Tensor] | None = None
    lpips: Callable[[Tensor, Tensor], float] | None = None
    _found: dict[str, list[float]] = field(default_factory=dict)

    def add(self, samples: Sequence[Tensor]) -> None:
        """Translations of one picture, `[1, 3, H, W]` in 0..1: two or more."""
        couples = list(combinations(samples, 2))
        self._keep("pixels", [float((one - other).abs().mean()) * 255 for one, other in couples])
        if self.features:
            taken = [self.features(sample) for sample in samples]
            self._keep("features", [cosine_distance(one, other) for one, other in combinations(taken, 2)])
        if self.lpips:
            self._keep("lpips", [self.lpips(one, other) for one, other in couples])

    def scores(self) -> dict[str, Score]:
        return {name: Score.mean(found) for name, found in self._found.items()}

    def _keep(self, name: str, found: list[float]) -> None:
        self._found.setdefault(f"diversity-{name}", []).append(float(np.mean(found)))
