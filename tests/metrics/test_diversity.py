"""Differences between seeds, by hand."""

import pytest
import torch

from translate.metrics.diversity import Diversity


def flat(*levels: float) -> list[torch.Tensor]:
    return [torch.full((1, 3, 4, 4), float(level)) for level in levels]


def test_pixels_are_compared_couple_by_couple() -> None:
    measure = Diversity()
    measure.add(flat(0, 0.1, 0.3))  # 0.1, 0.3 and 0.2
    measure.add(flat(0.5, 0.5, 0.5))
    score = measure.scores()["diversity-pixels"]
    assert score.value == pytest.approx(255 * 0.2 / 2)
    assert score.error == pytest.approx(255 * 0.1)


def test_features_and_lpips_where_they_are_given() -> None:
    turned = iter([[1.0, 0.0], [0.0, 1.0]])
    measure = Diversity(lambda picture: torch.tensor([next(turned)]), lambda one, other: 0.25)
    measure.add(flat(0, 0))
    assert {name: score.value for name, score in measure.scores().items()} == pytest.approx(
        {"diversity-pixels": 0, "diversity-features": 1, "diversity-lpips": 0.25}
    )
