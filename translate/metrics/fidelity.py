"""How near a translation is to its known target: PSNR, SSIM and LPIPS. Means over pictures, with their confidence."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from translate.metrics import Result, Score

WINDOW = 11
"""Smallest side of a picture that SSIM can be measured on."""


def psnr(fake: Tensor, real: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, at most 100, which equal pictures have."""
    return float(peak_signal_noise_ratio(fake, real, data_range=1.0).clamp(max=100))


def ssim(fake: Tensor, real: Tensor) -> float:
    """Structural similarity (Wang et al. 2004), 1 for equal pictures: Gaussian window of 11 pixels, deviation 1.5."""
    return float(structural_similarity_index_measure(fake, real, data_range=1.0))  # type: ignore[arg-type]


@dataclass
class Fidelity:
    """The mean of each of `compare`, functions of translation and target."""

    compare: dict[str, Callable[[Tensor, Tensor], float]] = field(default_factory=lambda: {"psnr": psnr, "ssim": ssim})
    _found: dict[str, list[float]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        if result.real is None:
            raise ValueError(f"{result.name} has no target to compare its translation with")
        if min(result.real.shape[2:]) < WINDOW:
            raise ValueError(f"{result.name} is smaller than SSIM's window of {WINDOW} pixels: enlarge it with --size")
        for name, compare in self.compare.items():
            self._found.setdefault(name, []).append(compare(result.fake, result.real))

    def scores(self) -> dict[str, Score]:
        return {name: Score.mean(found) for name, found in self._found.items()}
