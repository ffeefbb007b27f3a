"""Shapes of the marks that time leaves on photographs, drawn from random numbers alone.

Every function takes a height and a width in pixels and a `numpy.random.Generator`, and returns the mark's coverage:
float32 `[H, W]`, 0 (nothing) to 1 (the picture is gone). What colour a mark has is `damage.py`'s business.
"""

import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Coverage = NDArray[np.float32]

_SHIFT = 4
"""Fractional bits of the coordinates that OpenCV draws with."""


def smooth_noise(height: int, width: int, rng: Generator, scale: float) -> Coverage:
    """Gaussian noise of mean 0 and deviation about 1 whose features are about `scale` pixels wide."""
    rows, columns = max(2, math.ceil(height / scale) + 1), max(2, math.ceil(width / scale) + 1)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def fractal_noise(height: int, width: int, rng: Generator, scale: float, octaves: int = 4) -> Coverage:
    """Smooth noise summed over octaves of half the width and 0.6 times the height each, of deviation about 1."""
    total = np.zeros((height, width), np.float32)
    power = 0.0
    for octave in range(octaves):
        gain = 0.6**octave
        total += gain * smooth_noise(height, width, rng, max(1.0, scale / 2**octave))
        power += gain * gain
    return np.asarray(total / math.sqrt(power), np.float32)


def scratches(height: int, width: int, rng: Generator) -> Coverage:
    """Thin, nearly straight lines in groups of one direction, as a projector gate or a hard sleeve leaves them."""
    canvas = np.zeros((height, width), np.float32)
    direction = rng.normal(math.pi / 2, 0.1) if rng.random() < 0.5 else rng.uniform(0, math.pi)
    length = math.hypot(height, width)
    for _ in range(rng.integers(1, 12)):
        angle = direction + rng.normal(0, 0.06)
        start = rng.uniform((0, 0), (width, height)) - rng.uniform(0, 1) * length * np.array([math.cos(angle), math.sin(angle)])
        steps = np.linspace(0, rng.uniform(0.1, 1.2) * length, 12)[:, None]
        path = start + steps * np.array([math.cos(angle), math.sin(angle)]) + np.cumsum(rng.normal(0, 0.7, (12, 2)), axis=0)
        _stroke(canvas, path, int(rng.choice([1, 1, 1, 2, 3])), float(rng.uniform(0.2, 1)))
    # The line breaks off and comes back where the surface is uneven.
    if rng.random() < 0.7:
        canvas *= np.clip(fractal_noise(height, width, rng, 24) + rng.uniform(0.2, 1.5), 0, 1)
    return canvas


def cracks(height: int, width: int, rng: Generator) -> Coverage:
    """Branching cracks of varying width, from hair lines to broad gaps where the emulsion has flaked off."""
    canvas = np.zeros((height, width), np.float32)
    broad = rng.uniform(1, 3) if rng.random() < 0.6 else rng.uniform(3, 10)
    for _ in range(rng.integers(1, 4)):
        _branch(canvas, rng.uniform((0, 0), (width, height)), rng.uniform(0, 2 * math.pi), broad, rng, depth=2)
    if broad > 3 or rng.random() < 0.3:  # flaked edges are ragged
        canvas = _ragged(canvas, rng, rng.uniform(1, 4))
    return canvas


def crazing(height: int, width: int, rng: Generator) -> Coverage:
    """A net of fine cracks (craquelure): the borders between the zero sets of two smooth noises."""
    scale = rng.uniform(12, 48)
    thin = rng.uniform(0.02, 0.06)
    net = np.minimum(*(np.abs(smooth_noise(height, width, rng, scale)) for _ in range(2)))
    where = np.clip(smooth_noise(height, width, rng, 96) + rng.uniform(-0.5, 1.5), 0, 1)
    return np.asarray(np.clip(1.5 - net / thin, 0, 1) * where, np.float32)


def crease(height: int, width: int, rng: Generator) -> Coverage:
    """One fold across the whole frame, nearly straight, of uneven width."""
    canvas = np.zeros((height, width), np.float32)
    angle = rng.uniform(0, math.pi)
    along = np.array([math.cos(angle), math.sin(angle)])
    centre = rng.uniform((0, 0), (width, height))
    steps = np.linspace(-1, 1, 24)[:, None] * math.hypot(height, width)
    path = centre + steps * along + np.cumsum(rng.normal(0, 1.2, (24, 2)), axis=0)
    _stroke(canvas, path, int(rng.integers(1, 7)), 1)
    return _ragged(canvas, rng, rng.uniform(0.5, 3))


def dust(height: int, width: int, rng: Generator) -> Coverage:
    """Specks and small flakes of many sizes, evenly or in a cloud."""
    canvas = np.zeros((height, width), np.float32)
    density = 10 ** rng.uniform(-4.5, -2.3)
    for _ in range(int(density * height * width) + 1):
        x, y = rng.uniform((0, 0), (width, height)) * 2**_SHIFT
        axes = np.maximum(2 ** rng.normal(0.2, 0.8, 2), 0.4) * 2**_SHIFT
        level = float(rng.uniform(0.3, 1))
        cv2.ellipse(
            canvas, (int(x), int(y)), (int(axes[0]), int(axes[1])), int(rng.integers(180)), 0, 360, level, -1, cv2.LINE_8, _SHIFT
        )
    return cv2.GaussianBlur(canvas, (3, 3), 0) if rng.random() < 0.5 else canvas  # type: ignore[return-value]


def hairs(height: int, width: int, rng: Generator) -> Coverage:
    """Curled fibres, from lint of a few pixels to a hair across the frame."""
    canvas = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(1, 9)):
        length = rng.uniform(8, 0.8 * max(height, width, 11))
        turn = np.cumsum(rng.normal(0, rng.uniform(0.05, 0.4), 24)) + rng.uniform(0, 2 * math.pi)
        path = rng.uniform((0, 0), (width, height)) + np.cumsum(np.stack([np.cos(turn), np.sin(turn)], 1) * length / 24, axis=0)
        _stroke(canvas, path, int(rng.choice([1, 1, 2])), float(rng.uniform(0.4, 1)))
    return canvas


def abrasion(height: int, width: int, rng: Generator) -> Coverage:
    """Rubbed patches: a rough surface seen through, densest at one side or in clouds, as on prints kept without sleeves."""
    grain = fractal_noise(height, width, rng, rng.uniform(3, 14), octaves=3)
    cloud = fractal_noise(height, width, rng, rng.uniform(40, 160), octaves=3)
    level = rng.uniform(1.0, 2.4)
    hard = rng.uniform(1.5, 6)
    return np.asarray(np.clip(hard * (grain + rng.uniform(0.3, 0.9) * cloud - level), 0, 1), np.float32)


def stain(height: int, width: int, rng: Generator) -> Coverage:
    """A patch of liquid dried in: an even inside with a soft or a dark edge."""
    field = fractal_noise(height, width, rng, rng.uniform(40, 200)) - rng.uniform(0.2, 1.3)
    inside = np.clip(field * rng.uniform(3, 20), 0, 1)
    rim = np.exp(-((field * rng.uniform(8, 25)) ** 2)) * rng.uniform(0, 0.7)
    return np.asarray(np.clip(rng.uniform(0.3, 0.8) * inside + rim, 0, 1), np.float32)


def torn(height: int, width: int, rng: Generator) -> Coverage:
    """A torn corner or edge: everything on one side of a ragged line is gone."""
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    along = np.cos(angle) * (x - width / 2) + np.sin(angle) * (y - height / 2)
    farthest = abs(math.cos(angle)) * width / 2 + abs(math.sin(angle)) * height / 2
    edge = along - (farthest - rng.uniform(4, 0.3 * min(height, width) + 5))
    return np.asarray(np.clip(edge + 6 * fractal_noise(height, width, rng, 24), 0, 1), np.float32)


def _branch(canvas: Coverage, start: NDArray[np.float64], angle: float, broad: float, rng: Generator, depth: int) -> None:
    """Draws one crack as a random walk of straight pieces that thins out, and its branches."""
    point = start
    for _ in range(rng.integers(4, 16)):
        angle += rng.normal(0, 0.5)
        end = point + rng.uniform(4, 18) * np.array([math.cos(angle), math.sin(angle)])
        _stroke(canvas, np.stack([point, end]), max(1, round(broad * rng.uniform(0.5, 1.3))), float(rng.uniform(0.6, 1)))
        if depth and rng.random() < 0.15:
            _branch(canvas, end, angle + rng.choice([-1, 1]) * rng.uniform(0.5, 1.4), 0.6 * broad, rng, depth - 1)
        point = end


def _stroke(canvas: Coverage, path: NDArray[np.float64], thickness: int, level: float) -> None:
    """Draws a polyline without lightening what is there. OpenCV anti-aliases 8-bit canvases only."""
    line = np.zeros(canvas.shape, np.uint8)
    points = np.round(np.clip(path, -4000, 4000) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(line, [points], False, 255, thickness, cv2.LINE_AA, _SHIFT)
    np.maximum(canvas, line * np.float32(level / 255), out=canvas)


def _ragged(coverage: Coverage, rng: Generator, amount: float) -> Coverage:
    """Moves every pixel by smooth noise of `amount` pixels, which turns drawn edges into torn ones."""
    height, width = coverage.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    shift = [amount * fractal_noise(height, width, rng, 6, octaves=2) for _ in range(2)]
    return np.asarray(
        cv2.remap(coverage, x + shift[0], y + shift[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
