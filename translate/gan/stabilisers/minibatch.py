"""Looking at a whole batch of samples together: a generator that collapses makes them all alike.

A critic with minibatch discrimination mixes samples, so it does not go with penalties on each sample's gradient.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """Feature matching (Salimans et al. 2016, section 3.1): ‖E f(x) − E f(G(z))‖², what the generator minimises in place of D.

    Features `[N, …]` and `[M, …]` of a layer inside the critic. No gradient flows to the real side.
    """
    if real_features.shape[1:] != fake_features.shape[1:]:
        raise ValueError(f"features must come from one layer, not be {list(real_features.shape)} and {list(fake_features.shape)}")
    return (real_features.detach().mean(0) - fake_features.mean(0)).square().sum()


def pulling_away(encodings: Tensor) -> Tensor:
    """Pulling-away term of EBGAN (Zhao et al. 2017, eq. 6): 1/(N(N−1)) Σᵢ Σ_{j≠i} cos²(Sᵢ, Sⱼ), from 0 (orthogonal) to 1 (alike).

    The generator minimises it. `encodings` `[N, …]` are the autoencoder critic's, of fakes. In float32, under autocast too.
    """
    n = len(encodings)
    if n < 2:
        raise ValueError(f"pulling_away compares samples with one another: at least 2 are needed, not {n}")
    with torch.autocast(encodings.device.type, enabled=False):
        S = normalize(encodings.flatten(1).to(torch.promote_types(encodings.dtype, torch.float32)), dim=1)
        return (S @ S.T).square().triu(1).sum() * 2 / (n * (n - 1))


@dataclass(frozen=True)
class FeatureMatching:
    """`feature_matching` as a term of the generator's loss, times `weight`."""

    weight: float = 1

    def __post_init__(self) -> None:
        _positive(self, self.weight)

    def __call__(self, real_features: Tensor, fake_features: Tensor) -> Tensor:
        return self.weight * feature_matching(real_features, fake_features)


@dataclass(frozen=True)
class PullingAway:
    """`pulling_away` as a term of the generator's loss, times `weight` (0.1 in the paper)."""

    weight: float = 0.1

    def __post_init__(self) -> None:
        _positive(self, self.weight)

    def __call__(self, encodings: Tensor) -> Tensor:
        return self.weight * pulling_away(encodings)


class MinibatchDiscrimination(nn.Module):
    """Minibatch discrimination (Salimans et al. 2016, section 3.2): how close each sample is to the others of its batch.

    Features f `[N, features]` become `[N, features + kernels]`: o(xᵢ)_b = Σ_{j≠i} exp(−‖Mᵢ_b − Mⱼ_b‖₁) is appended to f(xᵢ),
    where Mᵢ = f(xᵢ) T, and T is `[features, kernels, dims]`. The paper's sum has j = i too, a constant 1 that a bias can absorb;
    without it a sample by itself gets 0. Real and fake samples come in batches of their own, and of one size, for o grows with N.
    """

    def __init__(self, features: int, kernels: int, dims: int) -> None:
        super().__init__()
        if min(features, kernels, dims) < 1:
            raise ValueError(f"MinibatchDiscrimination: sizes must be ≥ 1: {features=}, {kernels=}, {dims=}")
        self.T = nn.Parameter(torch.randn(features, kernels, dims) * 0.02)

    def forward(self, f: Tensor) -> Tensor:
        M = torch.einsum("na,abc->nbc", f, self.T)
        closeness = torch.exp(-(M[:, None] - M[None]).abs().sum(3))
        return torch.cat([f, closeness.sum(1) - 1], dim=1)


@dataclass(frozen=True)
class MinibatchScore:
    """`MinibatchDiscrimination` between a critic's last hidden layer and its linear score, where the authors' programs have it
    too (with 100 kernels of 5 dimensions)."""

    kernels: int = 16
    dims: int = 5

    def __post_init__(self) -> None:
        if min(self.kernels, self.dims) < 1:
            raise ValueError(f"minibatch-discrimination: kernels and dims must be ≥ 1, not {self.kernels} and {self.dims}")

    def wrap(self, critic: nn.Module) -> nn.Module:
        """The same critic with another score: one that has `features`, of which its `score` is linear."""
        features: int = critic.score.in_features  # type: ignore[union-attr,assignment]
        critic.score = _ComparedScore(features, self.kernels, self.dims)
        return critic


class _ComparedScore(nn.Sequential):
    """`[N, in_features]` → `[N, 1]`."""

    def __init__(self, features: int, kernels: int, dims: int) -> None:
        super().__init__(MinibatchDiscrimination(features, kernels, dims), nn.Linear(features + kernels, 1))
        self.in_features = features  # other heads on the same trunk ask the score how many there are


def _positive(term: FeatureMatching | PullingAway, weight: float) -> None:
    if not 0 < weight < math.inf:
        raise ValueError(f"{type(term).__name__}: the weight must be > 0, not {weight}; to do without, leave it out")
