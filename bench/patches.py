"""How far two sets of pictures lie apart in their patches: the sliced Wasserstein distance of Karras et al. (2018, section 5).

It needs no network and no pairs, and tells at each scale whether colours, edges and grain are like those of real pictures: a
pattern that is laid over every translation shows, whatever a classifier makes of the picture.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad, unfold

SIDE = 7
"""Of a patch."""
EACH = 128
"""Patches of each picture and level."""
DIRECTIONS = 512
COARSEST = 16
"""Side of the pyramid's smallest level."""


def sliced_wasserstein(a: Tensor, b: Tensor, seed: int = 0) -> list[float]:
    """From the finest level of the Laplacian pyramids to the coarsest. `a` and `b`: `[N, C, S, S]`, N of any two
    sizes, S ≥ 16.

    As in the paper, which tells thousandths, each channel of each set of patches has mean 0 and deviation 1 before patches are
    compared along random directions: contrast and tint of a whole set count for nothing.
    """
    rng = torch.Generator().manual_seed(seed)
    return [_distance(_patches(x, rng), _patches(y, rng), rng) for x, y in zip(_pyramid(a), _pyramid(b), strict=True)]


def _pyramid(x: Tensor) -> Iterator[Tensor]:
    """What each halving takes away, and what is left at last."""
    while x.shape[-1] > COARSEST:
        smaller = _blurred(x)[..., ::2, ::2]
        yield x - interpolate(smaller, size=x.shape[-2:], mode="bilinear", align_corners=False)
        x = smaller
    yield x


def _blurred(x: Tensor) -> Tensor:
    """By the binomial filter of Burt & Adelson (1983)."""
    line = torch.tensor([1, 4, 6, 4, 1], dtype=x.dtype) / 16
    kernel = torch.outer(line, line).expand(x.shape[1], 1, 5, 5)
    return conv2d(pad(x, (2, 2, 2, 2), mode="reflect"), kernel, groups=x.shape[1])


def _patches(level: Tensor, rng: torch.Generator) -> Tensor:
    """`[N · EACH, C · SIDE²]`, from random places."""
    found = unfold(level, SIDE).unflatten(1, (level.shape[1], -1))
    places = torch.randint(found.shape[-1], (len(level), 1, 1, EACH), generator=rng)
    drawn = found.gather(3, places.expand(-1, *found.shape[1:3], -1)).movedim(3, 1).flatten(0, 1)
    deviation, mean = torch.std_mean(drawn, dim=(0, 2), keepdim=True)
    return ((drawn - mean) / deviation.clamp_min(1e-8)).flatten(1)


def _distance(a: Tensor, b: Tensor, rng: torch.Generator) -> float:
    directions = torch.randn(a.shape[1], DIRECTIONS, generator=rng)
    directions = directions / directions.norm(dim=0)
    # As many of both, so that the sorted projections are each other's quantiles.
    count = min(len(a), len(b))
    a, b = (((x[torch.randperm(len(x), generator=rng)[:count]]) @ directions).sort(0).values for x in (a, b))
    return (a - b).abs().mean().item()
