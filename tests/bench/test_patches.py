import math

import pytest
import torch
from torch import Tensor

from bench.patches import sliced_wasserstein


def noise(count: int, size: int, seed: int) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_levels_go_down_to_sixteen_pixels() -> None:
    assert [len(sliced_wasserstein(noise(2, size, 0), noise(3, size, 1))) for size in (16, 32, 50, 64)] == [1, 2, 3, 3]


def test_sets_of_one_kind_are_near_whatever_their_tint_and_contrast() -> None:
    a, b = noise(60, 32, 0), noise(40, 32, 1)
    near = sliced_wasserstein(a, b)
    assert max(near) < 0.05
    tinted = b * torch.tensor([0.5, 2, 1]).view(3, 1, 1) + 0.3
    assert sliced_wasserstein(a, tinted) == pytest.approx(near, abs=1e-5)


def test_flat_pictures_are_as_far_from_noise_as_their_projections() -> None:
    # Standardised, a patch of noise falls on a direction d as N(0, 1), a flat one as N(0, (Σ d)²): W₁ = √(2/π) · |1 − |Σ d||.
    values = torch.distributions.Normal(0, 1).icdf((torch.arange(200) + 0.5) / 200)
    flat = values.view(-1, 1, 1, 1).expand(-1, 1, 16, 16)
    d = torch.randn(49, 20000, generator=torch.Generator().manual_seed(1))
    expected = math.sqrt(2 / math.pi) * (1 - (d / d.norm(dim=0)).sum(0).abs()).abs().mean().item()
    found = sliced_wasserstein(noise(200, 16, 2)[:, :1], flat)
    assert found == [pytest.approx(expected, rel=0.06)]


def test_a_weave_shows_at_its_scale() -> None:
    smooth = torch.nn.functional.interpolate(noise(80, 8, 0), size=64, mode="bicubic")
    a, b = smooth[:40] + 0.1 * noise(40, 64, 1), smooth[40:] + 0.1 * noise(40, 64, 2)
    weave = torch.zeros(64, 64)
    weave[::2, ::2] = 0.5
    plain, woven = sliced_wasserstein(a, b), sliced_wasserstein(a, b + weave)
    assert woven[0] > 4 * plain[0]
    assert woven[2] == pytest.approx(plain[2], rel=0.2)
