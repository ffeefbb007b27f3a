"""How far the translations as a whole are from real pictures of the target: FID and KID, in any network's features."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torchmetrics.image import FrechetInceptionDistance, KernelInceptionDistance

from translate.metrics import Result, Score

LARGEST_SUBSET = 1000


@dataclass
class Distance:
    """FID (Heusel et al. 2017) and KID (Bińkowski et al. 2018) of the translations from the targets.

    `features` gives `[1, D]` for a picture. Real pictures without a partner are given to `add_real`. `suffix` marks the names
    of values that were not measured in Inception's features.
    """

    features: Callable[[Tensor], Tensor]
    suffix: str = ""
    _fake: list[Tensor] = field(default_factory=list)
    _real: list[Tensor] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self._fake.append(self.features(result.fake))
        if result.real is not None:
            self._real.append(self.features(result.real))

    def add_real(self, picture: Tensor) -> None:
        self._real.append(self.features(picture))

    def scores(self) -> dict[str, Score]:
        if min(len(self._fake), len(self._real)) < 4:
            raise ValueError(f"FID and KID need 4 pictures of each kind; here are {len(self._fake)} and {len(self._real)}")
        fake, real = torch.cat(self._fake).double(), torch.cat(self._real).double()
        return {f"fid{self.suffix}": Score(frechet(fake, real)), f"kid{self.suffix}": kernel(fake, real)}


class _AsTheyAre(nn.Module):
    """Stands where torchmetrics wants the network whose features have been taken already, once for both distances."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet(fake: Tensor, real: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to `[N, D]` and `[M, D]`, float64. Biased upwards in small samples."""
    metric = FrechetInceptionDistance(_AsTheyAre(fake.shape[1]))
    metric.update(fake, real=False)
    metric.update(real, real=True)
    return float(metric.compute())


def kernel(fake: Tensor, real: Tensor, subsets: int = 100, seed: int = 0) -> Score:
    """Squared maximum mean discrepancy under (xᵀy / D + 1)³, without bias, with its standard error.

    The mean over random subsets of half the smaller set, at most 1,000. What spreads over subsets of m out of n drawn without
    replacement is √((n − m) / m) times what the whole spreads over samples of n (the delete-d jackknife of Shao and Wu 1989,
    m = n − d), so the error follows from it; where the sets' sizes differ it is that of the smaller and thus never too small.
    """
    count = min(len(fake), len(real))
    size = min(LARGEST_SUBSET, count // 2)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", UserWarning)  # that features are kept in memory
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(_AsTheyAre(fake.shape[1]), subsets=subsets, subset_size=size)
        metric.update(fake, real=False)
        metric.update(real, real=True)
        mean, spread = metric.compute()
    return Score(float(mean), float(spread) * math.sqrt(size / (count - size)))
