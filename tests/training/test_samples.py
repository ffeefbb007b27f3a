"""Judges of generative systems, against samples whose scores are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from translate.data.generative import digits, ring
from translate.training.samples import DigitClassifier, Digits, Modes, draw, frechet_distance, seeded, tile


class Fixed(nn.Module):
    """A system whose generator gives back what it is asked for."""

    def __init__(self, samples: Tensor) -> None:
        super().__init__()
        self.samples = nn.Parameter(samples)

    def latent(self, n: int, classes: Tensor | None = None) -> Tensor:
        return torch.arange(n)[:, None]

    def forward(self, index: Tensor) -> Tensor:
        return self.samples[index[:, 0] % len(self.samples)]


def modes(samples: Tensor) -> dict[str, float]:
    system = Fixed(samples)
    return Modes(ring(), n=800).scores(system, system, torch.device("cpu"))  # type: ignore[arg-type]


def test_the_mixture_itself_scores_full() -> None:
    scores = modes(ring(seed=9).__getitems__(range(800)).x)
    assert scores["modes"] == 8
    assert scores["quality"] > 0.99
    assert scores["distance"] < 0.15


def test_a_single_mode_is_a_collapse() -> None:
    scores = modes(torch.tensor(ring().centres[:1]))
    assert scores["modes"] == 1
    assert scores["quality"] == 1
    # Three quarters of the way round on average: the mean distance between one point and eight on the unit circle
    expected = np.mean([2 * abs(math.sin(math.pi * k / 8)) for k in range(8)])
    assert scores["distance"] == pytest.approx(expected, abs=0.06)


def test_samples_between_the_modes_have_no_quality() -> None:
    assert modes(torch.zeros(1, 2))["quality"] == 0
    assert modes(torch.full((1, 2), math.nan))["distance"] == math.inf


def test_frechet_distance_of_known_gaussians() -> None:
    rng = torch.Generator().manual_seed(0)
    one = torch.randn(40_000, 3, generator=rng)
    other = torch.randn(40_000, 3, generator=rng) * 2 + torch.tensor([1.0, 0, 0])
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(one, other) == pytest.approx(1 + 3 * (1 + 4 - 2 * 2), rel=0.03)


def test_real_digits_beat_noise() -> None:
    learned, held = digits(), digits(held=True)
    judge = Digits(learned, held, n=300)
    judge.__dict__["classifier"] = DigitClassifier.trained(learned, steps=500, batch=64)
    real, noise = (Fixed(x) for x in (learned.pictures, torch.rand(300, 1, 8, 8) * 2 - 1))
    good, bad = (judge.scores(system, system, torch.device("cpu")) for system in (real, noise))  # type: ignore[arg-type]
    assert good["fid"] < bad["fid"] / 5
    assert good["certainty"] > 0.8
    assert good["classes"] > 9.5
    assert (judge.classifier(held.pictures).argmax(dim=1) == held.classes).float().mean() > 0.9


def test_a_single_class_has_one_effective_class() -> None:
    learned = digits()
    judge = Digits(learned, learned, n=50)
    judge.__dict__["classifier"] = DigitClassifier.trained(learned, steps=200, batch=64)
    system = Fixed(learned.pictures[learned.classes == 0][:50])
    assert judge.scores(system, system, torch.device("cpu"))["classes"] < 1.5  # type: ignore[arg-type]


def test_drawing_disturbs_nobody() -> None:
    system = Fixed(torch.rand(4, 2))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    draw(system, system, 4)  # type: ignore[arg-type]
    with seeded(1):
        torch.rand(5)
    assert torch.rand(1).equal(expected)


def test_a_sheet_shows_every_picture_in_its_place() -> None:
    sheet = tile(torch.linspace(-1, 1, 3)[:, None, None, None].expand(3, 1, 8, 8), columns=2)
    assert sheet.shape == (2 * 50, 2 * 50, 3)
    assert [int(sheet[10, 10, 0]), int(sheet[10, 60, 0]), int(sheet[60, 10, 0])] == [0, 128, 255]
