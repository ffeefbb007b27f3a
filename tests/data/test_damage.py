"""Damage: seeded, honest about what is asked for, and gentle where it was told to be."""

import dataclasses

import numpy as np
import pytest

from translate.data import damage
from translate.data.damage import Damage, gaussian_noise

NOTHING = {"untouched": 0.0, "noise": 0.0, "marked": 0.0}


def photograph(side: int = 64) -> damage.Pixels:
    ramp = np.linspace(20, 235, side)
    return np.stack([np.add.outer(ramp, ramp) / 2, np.tile(ramp, (side, 1)), np.full((side, side), 90.0)], axis=2).astype(
        np.uint8
    )


@pytest.mark.parametrize("kind", [*NOTHING, "old"])
def test_shape_type_and_seed(kind: str) -> None:
    make = Damage(**NOTHING | ({kind: 1.0} if kind != "old" else {}))
    clean = photograph()
    before = clean.copy()
    for seed in range(12):
        damaged, target = make(clean, np.random.default_rng(seed))
        again, _ = make(clean, np.random.default_rng(seed))
        assert damaged.shape == target.shape == clean.shape
        assert damaged.dtype == target.dtype == np.uint8
        assert np.array_equal(damaged, again)
    assert np.array_equal(clean, before)


def test_untouched_is_untouched() -> None:
    damaged, target = Damage(untouched=1, noise=0, marked=0)(photograph(), np.random.default_rng(0))
    assert np.array_equal(damaged, target)
    assert np.array_equal(target, photograph())


def test_marks_leave_most_of_the_picture_alone() -> None:
    make = Damage(untouched=0, noise=0, marked=1)
    clean = photograph()
    same = [np.mean(make(clean, np.random.default_rng(seed))[0] == clean) for seed in range(60)]
    assert np.mean(same) > 0.5
    assert np.mean([share < 1 for share in same]) > 0.7


def test_overlays_are_used() -> None:
    overlay = np.zeros((40, 40), np.uint8)
    overlay[::4] = 255
    with_overlays = Damage([overlay], untouched=0, noise=0, marked=1)
    without = dataclasses.replace(with_overlays, overlays=())
    clean = photograph()
    differ = [
        not np.array_equal(with_overlays(clean, np.random.default_rng(s))[0], without(clean, np.random.default_rng(s))[0])
        for s in range(20)
    ]
    assert any(differ)


def test_old_photographs_may_be_monochrome_and_then_stay_so() -> None:
    make = Damage(**NOTHING)
    targets = [make(photograph(), np.random.default_rng(seed))[1] for seed in range(40)]
    changed = [target for target in targets if not np.array_equal(target, photograph())]
    assert 4 < len(changed) < 25


def test_noise_has_the_deviation_asked_for() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = gaussian_noise(grey, 25 / 255, np.random.default_rng(0))
    assert noisy.astype(float).std() == pytest.approx(25, rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.3)


@pytest.mark.parametrize(
    "age",
    [
        damage.fade,
        damage.fog,
        damage.faded_dyes,
        damage.yellowed,
        damage.silvering,
        damage.dye_clouds,
        damage.silk,
        damage.monochrome,
    ],
)
def test_ageing_changes_and_stays_finite(age: object) -> None:
    picture = photograph().astype(np.float32) / 255
    aged = age(picture, np.random.default_rng(0))  # type: ignore[operator]
    assert aged.shape == picture.shape
    assert aged.dtype == np.float32
    assert np.isfinite(aged).all()
    assert np.abs(aged - picture).mean() > 0.002


def test_fading_loses_contrast() -> None:
    picture = photograph().astype(np.float32) / 255
    assert all(damage.fade(picture, np.random.default_rng(seed)).std() < picture.std() for seed in range(10))


def test_fog_is_added_to_darks_and_lights_alike() -> None:
    dark, middle, white = (np.full((96, 96, 3), level, np.float32) for level in (0, 0.5, 1))
    for seed in range(10):
        veil = damage.fog(dark, np.random.default_rng(seed))
        assert 0.005 < veil.mean() < 0.5
        assert veil.min() >= 0
        np.testing.assert_allclose(damage.fog(middle, np.random.default_rng(seed)), middle + veil, atol=1e-6)
        np.testing.assert_allclose(damage.fog(white, np.random.default_rng(seed)), 1, atol=1e-6)


def test_shares_must_make_sense() -> None:
    with pytest.raises(ValueError, match="together"):
        Damage(untouched=0.6, noise=0.6)
