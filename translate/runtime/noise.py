"""Noise that depends on nothing but the seed and the place, so a tile draws exactly its part of the whole picture's noise."""

import secrets

import numpy as np
import numpy.typing as npt

from translate.runtime.card import Noise

Words = npt.NDArray[np.uint64]
"""32-bit words, held in 64 bits so that their products fit."""

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def draw_seed() -> int:
    """A fresh seed, 0 to 2³² − 1: short enough to be typed again."""
    return secrets.randbits(32)


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four random words per counter.

    The counter's arrays broadcast against each other.
    """
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        left, right = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (right >> _SHIFT) ^ b ^ np.uint64(k0), right & _LOW, (left >> _SHIFT) ^ d ^ np.uint64(k1), left & _LOW
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return a, b, c, d


def draw(noise: Noise, seed: int, rows: range, columns: range) -> npt.NDArray[np.float32]:
    """The whole picture's noise at the given rows and columns of the noise grid: float32 `[1, rows, columns, channels]`.

    `seed` is 0 to 2⁶⁴ − 1; raises `ValueError` otherwise.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed {seed} is not between 0 and 2^64 - 1")
    key = (seed & 0xFFFFFFFF, seed >> 32)
    row = np.arange(rows.start, rows.stop, dtype=np.uint64)[:, None]
    column = np.arange(columns.start, columns.stop, dtype=np.uint64)[None, :]
    shape = np.zeros((len(rows), len(columns)), dtype=np.uint64)
    drawn = np.empty((1, len(rows), len(columns), noise.channels), dtype=np.float32)
    to_noise = _normal if noise.distribution == "normal" else _uniform
    for group in range(0, noise.channels, 4):
        words = philox((shape + column, shape + row, shape + np.uint64(group // 4), shape), key)
        for channel, values in zip(range(group, min(group + 4, noise.channels)), to_noise(words), strict=False):
            drawn[0, :, :, channel] = values
    return drawn


def _unit(words: Words) -> npt.NDArray[np.float64]:
    """Uniform between 0 and 1, neither ever reached."""
    return (words.astype(np.float64) + 0.5) / 2**32


def _uniform(words: tuple[Words, ...]) -> list[npt.NDArray[np.float64]]:
    return [2 * _unit(word) - 1 for word in words]


def _normal(words: tuple[Words, ...]) -> list[npt.NDArray[np.float64]]:
    """Box and Muller (1958)."""
    normals = []
    for first, second in (words[:2], words[2:]):
        radius, angle = np.sqrt(-2 * np.log(_unit(first))), 2 * np.pi * _unit(second)
        normals += [radius * np.cos(angle), radius * np.sin(angle)]
    return normals
