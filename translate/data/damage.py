"""Damage: makes old photographs out of clean ones, so that a network can learn the way back.

A photograph first ages (dyes fade, silver creeps out), then is handled (scratches, cracks, stains, dust) and at last is
scanned (blur, low resolution, noise, JPEG). What can be known about the clean picture is the target; what cannot, is not
asked for: a toned black-and-white print stays toned, for nobody knows the colours it never had.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from translate.data import marks

Pixels = NDArray[np.uint8]
Float = NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Damage:
    """Draws one damaged version of a clean photograph; every choice comes from the generator that it is given.

    The four shares, of which `old` takes what the others leave, let one blind network learn every trade at once.
    """

    overlays: Sequence[NDArray[np.uint8]] = ()
    """Coverage maps `[h, w]` of real marks; procedural ones are drawn as well."""
    untouched: float = 0.1
    """Share of pictures left as they are: do no harm."""
    noise: float = 0.2
    """Share with nothing but Gaussian noise, deviation 0 to `noisiest`."""
    marked: float = 0.3
    """Share with marks on an otherwise clean picture, a quarter of them fogged as well."""
    noisiest: float = 50 / 255
    _scan: A.Compose = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if min(self.untouched, self.noise, self.marked) < 0 or self.untouched + self.noise + self.marked > 1:
            raise ValueError("damage: untouched, noise and marked are shares: each ≥ 0, together ≤ 1")
        object.__setattr__(self, "_scan", _scanner())

    def __call__(self, clean: Pixels, rng: Generator) -> tuple[Pixels, Pixels]:
        """Clean RGB `[H, W, 3]` uint8 to (damaged, target), both of the same shape."""
        kind = rng.random()
        if kind < self.untouched:
            return clean, clean
        if kind < self.untouched + self.noise:
            return gaussian_noise(clean, rng.uniform(0, self.noisiest), rng), clean
        if kind < self.untouched + self.noise + self.marked:
            marked = self._mark(_floats(clean), rng)
            return _bytes(fog(marked, rng) if rng.random() < 0.25 else marked), clean
        return self._old(clean, rng)

    def _old(self, clean: Pixels, rng: Generator) -> tuple[Pixels, Pixels]:
        if rng.random() < 0.3:
            clean = _bytes(monochrome(_floats(clean), rng))
        picture = _floats(clean)
        steps: list[Callable[[Float, Generator], Float]] = [step for step, share in _AGEING if rng.random() < share]
        steps += [self._mark] * int(rng.integers(0, 3))
        for index in rng.permutation(len(steps)):
            picture = steps[index](picture, rng)
        damaged = _bytes(picture)
        if rng.random() < 0.8:
            self._scan.set_random_seed(int(rng.integers(2**31)))
            damaged = self._scan(image=damaged)["image"]
        return damaged, clean

    def _mark(self, picture: Float, rng: Generator) -> Float:
        """One group of marks: an overlay where there are some, or procedural ones, each in a colour of its own."""
        height, width = picture.shape[:2]
        if len(self.overlays) and rng.random() < 0.5:
            for _ in range(rng.integers(1, 4)):
                overlay = self.overlays[int(rng.integers(len(self.overlays)))]
                coverage = _place(overlay, height, width, rng) * np.float32(rng.uniform(0.4, 1.2))
                picture = _cover(picture, coverage, _mark_colour(rng, white=0.85))
            return picture
        draw, _ = MARKS[rng.choice(len(MARKS), p=[share for _, share in MARKS])]
        coverage = draw(height, width, rng)
        if rng.random() < 0.4:
            coverage = cv2.GaussianBlur(coverage, (0, 0), rng.uniform(0.4, 1.8))  # type: ignore[assignment]
        if draw is marks.stain:
            return _cover(picture, 0.6 * coverage, rng.uniform((0.3, 0.2, 0.1), (0.9, 0.85, 0.7)).astype(np.float32))
        if draw in (marks.cracks, marks.crease, marks.torn) and rng.random() < 0.6:
            picture = _shadow(picture, coverage, rng)
        strength = np.float32(1 if draw is marks.torn else rng.uniform(0.4, 1.2))
        return _cover(picture, coverage * strength, _mark_colour(rng, white=0.75))


def gaussian_noise(picture: Pixels, deviation: float, rng: Generator) -> Pixels:
    """Adds independent Gaussian noise; `deviation` is in units of the full range (25/255, say)."""
    return _bytes(_floats(picture) + np.float32(deviation) * rng.standard_normal(picture.shape, dtype=np.float32))


def monochrome(picture: Float, rng: Generator) -> Float:
    """Grey, or toned from a dark to a light colour as sepia, selenium and cyan prints are."""
    grey = (picture @ _LUMA)[..., None]
    if rng.random() < 0.5:
        return np.repeat(grey, 3, axis=2)
    tone = rng.uniform((-0.02, -0.06, -0.25), (0.12, 0.03, 0.03)).astype(np.float32) * rng.uniform(0.3, 1)
    return np.clip(grey + tone * 4 * grey * (1 - grey) + tone * 0.3 * grey, 0, 1)


def fade(picture: Float, rng: Generator) -> Float:
    """Lost contrast: blacks rise, whites sink, colours pale."""
    black, white = rng.uniform(0, 0.25), rng.uniform(0.75, 1)
    grey = (picture @ _LUMA)[..., None]
    paled = grey + (picture - grey) * np.float32(rng.uniform(0.4, 1))
    return np.asarray(black + (white - black) * np.clip(paled, 0, 1) ** rng.uniform(0.8, 1.25), np.float32)


def fog(picture: Float, rng: Generator) -> Float:
    """Fogged film, or light that a scanner scattered: a grey veil, and its grain, added to darks and lights alike."""
    height, width = picture.shape[:2]
    uneven = 1 + rng.uniform(0, 0.5) * marks.smooth_noise(height, width, rng, rng.uniform(100, 300))
    grain = rng.uniform(0, 0.05) * rng.standard_normal((height, width), dtype=np.float32)
    veil = np.clip(rng.uniform(0.02, 0.2) * uneven + grain, 0, 0.5).astype(np.float32)
    return np.asarray(np.minimum(picture + veil[..., None], 1), np.float32)


def faded_dyes(picture: Float, rng: Generator) -> Float:
    """Colour film loses its three dyes unevenly, which leaves the well-known red, yellow or magenta cast."""
    left = rng.uniform(0.6, 1, 3).astype(np.float32)
    density = -np.log(np.clip(picture, 1 / 255, 1))
    return np.asarray(np.exp(-density * left), np.float32)


def yellowed(picture: Float, rng: Generator) -> Float:
    """Paper and varnish turn yellow or brown: the light of the whole picture passes a warm filter, unevenly."""
    warm = 1 - rng.uniform((0, 0.02, 0.1), (0.08, 0.15, 0.4)) * rng.uniform(0.3, 1)
    uneven = np.clip(1 + 0.3 * marks.smooth_noise(picture.shape[0], picture.shape[1], rng, 160), 0.3, 1.5)[..., None]
    return np.asarray(picture * (1 - (1 - warm.astype(np.float32)) * uneven), np.float32)


def silvering(picture: Float, rng: Generator) -> Float:
    """Silver that has crept to the surface mirrors, bluish, out of the dark parts and towards the edges."""
    height, width = picture.shape[:2]
    where = np.clip(marks.fractal_noise(height, width, rng, rng.uniform(40, 160)) + rng.uniform(-0.5, 1), 0, 1)
    dark = (1 - picture @ _LUMA) ** 2
    sheen = rng.uniform((0.45, 0.5, 0.55), (0.7, 0.75, 0.85)).astype(np.float32)
    return _cover(picture, where * dark * np.float32(rng.uniform(0.2, 0.7)), sheen)


def dye_clouds(picture: Float, rng: Generator) -> Float:
    """Film grain: clouds of dye about a pixel or two wide, strongest in the middle tones, coloured on colour film."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    if rng.random() < 0.4:
        noise = np.repeat(noise[..., :1], 3, axis=2)
    width = rng.uniform(0.5, 1.6)
    noise = cv2.GaussianBlur(noise, (0, 0), width) * (2 * np.sqrt(np.pi) * width)  # back to deviation 1
    return np.asarray(picture + noise * rng.uniform(0.02, 0.12) * (0.4 + 2.4 * picture * (1 - picture)), np.float32)


def silk(picture: Float, rng: Generator) -> Float:
    """The raised grid of silk and honeycomb papers, as a scanner's lamp throws it into relief."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    period, angle = rng.uniform(2.5, 9), rng.uniform(0, np.pi)
    u = (np.cos(angle) * x + np.sin(angle) * y) * (2 * np.pi / period)
    v = (np.cos(angle + np.pi / rng.choice([2, 3])) * x + np.sin(angle + np.pi / 2) * y) * (2 * np.pi / period)
    relief = np.sin(u + rng.uniform(0, 6)) * np.sin(v + rng.uniform(0, 6))
    return np.asarray(picture + rng.uniform(0.01, 0.07) * relief[..., None], np.float32)


_AGEING: Sequence[tuple[Callable[[Float, Generator], Float], float]] = (
    (fade, 0.35),
    (fog, 0.25),
    (faded_dyes, 0.25),
    (yellowed, 0.25),
    (silvering, 0.1),
    (dye_clouds, 0.35),
    (silk, 0.1),
)
"""Each way of ageing and the share of old photographs that show it."""

MARKS: Sequence[tuple[Callable[[int, int, Generator], Float], float]] = (
    (marks.scratches, 0.16),
    (marks.cracks, 0.16),
    (marks.crazing, 0.06),
    (marks.crease, 0.1),
    (marks.dust, 0.16),
    (marks.hairs, 0.1),
    (marks.abrasion, 0.16),
    (marks.stain, 0.06),
    (marks.torn, 0.04),
)
"""Every kind of mark and its share of the groups that are drawn."""


def _scanner() -> A.Compose:
    """What the camera or scanner adds, one to three of them in random order, then JPEG in half of the cases."""
    blur = A.OneOf([A.GaussianBlur(blur_limit=0, sigma_limit=(0.4, 2.0)), A.MotionBlur(blur_limit=(3, 7)), A.Defocus((1, 2))])
    low = A.Downscale(
        scale_range=(0.35, 0.85),
        interpolation_pair={"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_CUBIC},
    )
    sensor = A.OneOf(
        [
            A.GaussNoise(std_range=(0.01, 0.16)),
            A.ISONoise(color_shift=(0.01, 0.06), intensity=(0.1, 0.6)),
            A.ShotNoise(scale_range=(0.01, 0.15)),
        ]
    )
    return A.Compose(
        [
            A.SomeOf([blur, low, sensor], n=1, replace=False, p=0.8),
            A.OneOf([sensor], p=0.3),
            A.ImageCompression(quality_range=(15, 92), p=0.5),
        ]
    )


def _place(overlay: NDArray[np.uint8], height: int, width: int, rng: Generator) -> Float:
    """A random part of an overlay in a random size and turn, `[height, width]` in 0..1."""
    overlay = np.rot90(overlay, int(rng.integers(4)))
    if rng.random() < 0.5:
        overlay = overlay[:, ::-1]
    scale = max(rng.uniform(0.5, 1.5), height / overlay.shape[0], width / overlay.shape[1])
    rows, columns = min(overlay.shape[0], round(height / scale) or 1), min(overlay.shape[1], round(width / scale) or 1)
    top, left = rng.integers(overlay.shape[0] - rows + 1), rng.integers(overlay.shape[1] - columns + 1)
    part = np.ascontiguousarray(overlay[top : top + rows, left : left + columns])
    return _floats(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR))


def _mark_colour(rng: Generator, white: float) -> Float:
    """Mostly the white of bare paper or of dust's shadow in a negative, else the dark of dirt."""
    base = rng.uniform(0.8, 1) if rng.random() < white else rng.uniform(0, 0.25)
    return np.asarray(np.clip(base + rng.normal(0, 0.03, 3), 0, 1), np.float32)


def _cover(picture: Float, coverage: Float, colour: Float) -> Float:
    share = np.clip(coverage, 0, 1)[..., None]
    return np.asarray(picture + share * (colour - picture), np.float32)


def _shadow(picture: Float, coverage: Float, rng: Generator) -> Float:
    """The dark that a raised edge throws to one side of it."""
    shift = np.array([[1, 0, rng.normal(0, 3)], [0, 1, rng.normal(0, 3)]], np.float32)
    moved = cv2.warpAffine(coverage, shift, coverage.shape[::-1])
    soft = cv2.GaussianBlur(moved, (0, 0), rng.uniform(1, 4))
    return np.asarray(picture * (1 - rng.uniform(0.2, 0.8) * np.clip(soft, 0, 1))[..., None], np.float32)


def _floats(picture: NDArray[Any]) -> Float:
    return picture.astype(np.float32) / np.float32(255)


def _bytes(picture: Float) -> Pixels:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def read_overlays(folder: Path) -> list[NDArray[np.uint8]]:
    """Coverage maps of every RGBA picture below `folder`: the alpha where it varies, else the brightness."""
    found = []
    for path in sorted(folder.rglob("*.png")):
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise ValueError(f"{path} cannot be read as a PNG overlay")
        if picture.dtype == np.uint16:
            picture = (picture / 257).round().astype(np.uint8)
        planes = picture.reshape(*picture.shape[:2], -1)
        told_by_alpha = planes.shape[2] == 4 and planes[..., 3].min() < planes[..., 3].max()
        found.append(np.ascontiguousarray(planes[..., 3] if told_by_alpha else planes[..., :3].max(axis=2)))
    return found
