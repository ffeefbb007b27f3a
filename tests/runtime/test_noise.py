"""Philox against the published vectors, and noise that a tile draws as the whole picture would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.runtime.card import Noise
from translate.runtime.noise import draw, draw_seed, philox

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    # Known-answer vectors of Random123 (kat_vectors, philox4x32 10)
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    a, b, c, d = (np.array([word], dtype=np.uint64) for word in counter)
    assert tuple(int(word[0]) for word in philox((a, b, c, d), key)) == words


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        ("uniform", [-0.03683932, -0.15093005, 0.54794985, -0.63528347, -0.84934622, -0.99226302]),
        ("normal", [-1.07550204, 0.55195987, 0.29516065, 0.65215933, 2.27349544, 0.05527141]),
    ],
)
def test_noise_stays_what_it_was(distribution: str, values: list[float]) -> None:
    """The same seed must give the same picture in every later version."""
    noise = Noise.model_validate({"distribution": distribution, "channels": 6})
    np.testing.assert_allclose(draw(noise, 1, range(2, 3), range(5, 6))[0, 0, 0], values, rtol=1e-6)


@given(
    top=st.integers(0, 40),
    left=st.integers(0, 40),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    channels=st.integers(1, 9),
    distribution=st.sampled_from(["normal", "uniform"]),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_tile_draws_its_part_of_the_whole(
    top: int, left: int, height: int, width: int, channels: int, distribution: str, seed: int
) -> None:
    noise = Noise.model_validate({"distribution": distribution, "channels": channels})
    whole = draw(noise, seed, range(60), range(60))
    tile = draw(noise, seed, range(top, top + height), range(left, left + width))
    assert tile.dtype == np.float32
    np.testing.assert_array_equal(tile, whole[:, top : top + height, left : left + width])


def test_normal_noise_is_normal() -> None:
    values = draw(Noise(distribution="normal", channels=5), 1, range(200), range(200))
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    assert abs((np.abs(values) < 1).mean() - 0.6827) < 0.005
    channels = np.corrcoef(values.reshape(-1, 5).T) - np.eye(5)
    assert np.abs(channels).max() < 0.03


def test_uniform_noise_is_uniform() -> None:
    values = draw(Noise(distribution="uniform", channels=3), 1, range(200), range(200))
    assert -1 <= values.min() < -0.999
    assert 0.999 < values.max() <= 1
    assert abs(values.std() - 1 / np.sqrt(3)) < 0.01


def test_seeds_differ_in_both_halves() -> None:
    noise = Noise(distribution="uniform", channels=1)
    drawn = [draw(noise, seed, range(4), range(4)) for seed in (0, 1, 2**32, 2**63)]
    assert len({values.tobytes() for values in drawn}) == 4


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        draw(Noise(distribution="uniform", channels=1), seed, range(1), range(1))


def test_drawn_seeds_differ_and_fit() -> None:
    seeds = {draw_seed() for _ in range(20)}
    assert len(seeds) > 15
    assert all(0 <= seed < 2**32 for seed in seeds)
