"""Measures of what generative systems draw: modes and distance in the plane, FID and classes of digits."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from translate.data.generative import Mixture, Pictures
from translate.gan.divergences import wasserstein
from translate.models import Generative, System
from translate.training.evaluate import Pixels


@dataclass(frozen=True)
class Modes:
    """Judges points by the mixture that they should come from.

    `modes`: Gaussians that at least a quarter of their fair share of the samples fall to. `quality`: share of samples within
    4 deviations of a centre. `distance`: the earth mover's, between 400 samples and 400 of the mixture's own.
    """

    mixture: Mixture
    n: int = 4000
    measures: Sequence[str] = ("modes", "quality", "distance")

    def scores(self, model: System, network: nn.Module, device: torch.device) -> dict[str, float]:
        drawn = draw(model, network, self.n).cpu()
        x = drawn.numpy().astype(np.float64)
        apart = np.linalg.norm(x[:, None] - self.mixture.centres[None], axis=2)
        nearest, near = apart.argmin(axis=1), apart.min(axis=1) < 4 * self.mixture.deviation
        count = np.bincount(nearest[near], minlength=len(self.mixture.centres))
        real = self.mixture.__getitems__(range(400)).x
        return {
            "modes": float((count >= self.n / len(self.mixture.centres) / 4).sum()),
            "quality": float(near.mean()),
            "distance": float(wasserstein(drawn[:400], real)) if np.isfinite(x).all() else math.inf,
        }

    def sheet(self, model: System, network: nn.Module, device: torch.device) -> Pixels:
        """Real points in blue, drawn ones in orange."""
        side, sheet = 384, np.full((384, 384, 3), 255, np.uint8)
        points = ((self.mixture.__getitems__(range(1000)).x, (40, 90, 200)), (draw(model, network, 1000).cpu(), (230, 110, 20)))
        for x, colour in points:
            at = ((x.numpy().clip(-1.5, 1.5) + 1.5) / 3 * (side - 2)).round().astype(int)
            for dx in (0, 1):
                for dy in (0, 1):
                    sheet[side - 2 - at[:, 1] + dy, at[:, 0] + dx] = colour
        return sheet


@dataclass(frozen=True)
class Digits:
    """Judges digits by a small classifier that was trained on the real ones.

    `fid`: the Fréchet distance between Gaussians fitted to its last hidden layer (Heusel et al. 2017, eq. 6), of samples against
    the held-out digits. It is not the usual FID, whose features are Inception's, and compares only with itself.
    `certainty`: mean probability of the most likely class. `classes`: the effective number of classes, e to the entropy.
    """

    learned: Pictures
    held: Pictures
    n: int = 2000
    measures: Sequence[str] = ("fid", "certainty", "classes")

    @cached_property
    def classifier(self) -> "DigitClassifier":
        return DigitClassifier.trained(self.learned)

    def scores(self, model: System, network: nn.Module, device: torch.device) -> dict[str, float]:
        x = draw(model, network, self.n).cpu()
        probabilities = self.classifier.probabilities(x)
        mean = probabilities.mean(dim=0)
        return {
            "fid": frechet_distance(self.classifier.features(x), self.classifier.features(self.held.pictures)),
            "certainty": probabilities.amax(dim=1).mean().item(),
            "classes": torch.special.entr(mean).sum().exp().item(),
        }

    def sheet(self, model: System, network: nn.Module, device: torch.device) -> Pixels:
        """Eight rows of ten; with classes, a column a class."""
        return tile(draw(model, network, 80, torch.arange(80) % 10).cpu(), columns=10)


class DigitClassifier(nn.Module):
    """Two convolutions and a hidden layer of 64; pictures `[N, 1, S, S]` in -1..1, S a multiple of 4."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * (size // 4) ** 2, 64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    @classmethod
    def trained(cls, data: Pictures, steps: int = 1500, batch: int = 128) -> "DigitClassifier":
        """The same weights each time; nobody else's random numbers are disturbed."""
        with seeded(0), torch.enable_grad():
            classifier = cls(data.pictures.shape[-1])
            optimiser = torch.optim.AdamW(classifier.parameters(), 2e-3)
            for step in range(steps):
                x, y = Pictures(data.pictures, data.classes, seed=7).__getitems__(range(step, step + batch))
                shift = torch.randint(-1, 2, (2,)).tolist()
                loss = cross_entropy(classifier(torch.roll(x, shift, (2, 3))), y)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return classifier.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        return torch.cat([self.body(part) for part in x.split(500)])

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        return torch.cat([self(part).softmax(dim=1) for part in x.split(500)])


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2·(Σ₁Σ₂)^½), of features `[N, F]` and `[M, F]` (Heusel et al. 2017, eq. 6)."""
    (mean, cov), (mean2, cov2) = ((f.double().mean(dim=0).numpy(), np.cov(f.double().numpy().T)) for f in (one, other))
    # The product of two covariances has real eigenvalues ≥ 0, whose roots sum to the trace; a singular one does no harm here
    roots = np.sqrt(np.linalg.eigvals(cov @ cov2).real.clip(0))
    return float(((mean - mean2) ** 2).sum() + np.trace(cov + cov2) - 2 * roots.sum())


@torch.no_grad()
def draw(model: System, network: nn.Module, n: int, classes: Tensor | None = None) -> Tensor:
    """`n` samples of the averaged generator, the same each time, without disturbing the training's random numbers."""
    if not isinstance(model, Generative):
        raise TypeError(f"{type(model).__name__} draws no samples")
    device = next(network.parameters()).device
    with seeded(0):
        z = model.latent(n, None if classes is None else classes.to(device))
        return torch.cat([network(part) for part in z.split(500)]).float()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of its own."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def tile(pictures: Tensor, columns: int) -> Pixels:
    """Pictures `[N, 1, H, W]` in -1..1 as one, enlarged to be seen."""
    scale = max(1, 48 // pictures.shape[-1])
    values = ((pictures[:, 0].clamp(-1, 1) + 1) * 127.5).round().byte().numpy().repeat(scale, 1).repeat(scale, 2)
    padded = np.pad(values, ((0, -len(values) % columns), (0, 2), (0, 2)), constant_values=128)
    rows = [np.concatenate(list(padded[at : at + columns]), axis=1) for at in range(0, len(padded), columns)]
    return np.concatenate(rows)[..., None].repeat(3, axis=2)
