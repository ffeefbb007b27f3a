"""Marks: coverage between nothing and everything, seeded, of any size."""

import inspect
from collections.abc import Callable

import numpy as np
import pytest

from translate.data import marks
from translate.data.damage import MARKS

KINDS = [draw for draw, _ in MARKS]
Draw = Callable[[int, int, np.random.Generator], marks.Coverage]


def test_every_kind_is_drawn() -> None:
    drawers = [value for name, value in vars(marks).items() if inspect.isfunction(value) and not name.startswith("_")]
    kinds = [value for value in drawers if list(inspect.signature(value).parameters) == ["height", "width", "rng"]]
    assert set(KINDS) == set(kinds)
    assert sum(share for _, share in MARKS) == pytest.approx(1)


@pytest.mark.parametrize("draw", KINDS, ids=lambda draw: draw.__name__)
def test_coverage_is_a_share(draw: Draw) -> None:
    rng = np.random.default_rng(0)
    drawn = [draw(48, 64, rng) for _ in range(40)]
    assert all(mark.shape == (48, 64) and mark.dtype == np.float32 for mark in drawn)
    assert all(np.isfinite(mark).all() and mark.min() >= 0 and mark.max() <= 1.6 for mark in drawn)
    shares = [mark.mean() for mark in drawn]
    assert max(shares) > 0.001
    assert min(shares) < 0.7


@pytest.mark.parametrize("draw", KINDS, ids=lambda draw: draw.__name__)
def test_equal_seeds_draw_equal_marks(draw: Draw) -> None:
    one, again, other = (draw(48, 64, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("draw", KINDS, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("size", [(1, 1), (2, 90), (33, 7)])
def test_any_size(draw: Draw, size: tuple[int, int]) -> None:
    assert draw(*size, np.random.default_rng(1)).shape == size


def test_fractal_noise_has_unit_deviation() -> None:
    noise = np.stack([marks.fractal_noise(96, 96, np.random.default_rng(k), 12) for k in range(30)])
    assert abs(noise.mean()) < 0.1
    assert 0.6 < noise.std() < 1.1
