"""PSNR and SSIM in closed form, and their means."""

import math

import pytest
import torch

from translate.metrics import Result, Score
from translate.metrics.fidelity import Fidelity, psnr, ssim


def picture(seed: int = 0, side: int = 24) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("step", [1 / 255, 0.1, 0.5])
def test_psnr_of_an_even_difference(step: float) -> None:
    real = picture() * (1 - step)
    assert psnr(real + step, real) == pytest.approx(-20 * math.log10(step), abs=1e-3)


def test_equal_pictures() -> None:
    assert psnr(picture(), picture()) == 100
    assert ssim(picture(), picture()) == pytest.approx(1)


def test_ssim_of_flat_pictures_is_the_luminance_term() -> None:
    # Wang et al. 2004, eq. 6 with C1 = 0.01²; the contrast and structure terms are one
    dark, light = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.6)
    assert ssim(dark, light) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4), abs=1e-4)


def test_more_noise_is_worse() -> None:
    clean, noise = picture(), torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    noisy = [(clean + amount * noise).clamp(0, 1) for amount in (0.02, 0.1, 0.3)]
    assert sorted((ssim(fake, clean) for fake in noisy), reverse=True) == [ssim(fake, clean) for fake in noisy]


def test_the_mean_and_its_error_over_pictures() -> None:
    measure, real = Fidelity(), picture() / 2
    for step in (0.1, 0.2, 0.4):
        measure.add(Result("p", real, real + step, real))
    found = [-20 * math.log10(step) for step in (0.1, 0.2, 0.4)]
    mean = sum(found) / 3
    error = math.sqrt(sum((value - mean) ** 2 for value in found) / 2 / 3)
    score = measure.scores()["psnr"]
    assert score.value == pytest.approx(mean, abs=1e-3)
    assert score.error == pytest.approx(error, abs=1e-3)
    assert score.interval == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=1e-2)
    assert Score.mean([3.0]) == Score(3.0)
    assert Score(3.0).interval is None


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(ValueError, match="lonely has no target"):
        Fidelity().add(Result("lonely", picture(), picture()))
    with pytest.raises(ValueError, match="small is smaller than SSIM"):
        Fidelity().add(Result("small", picture(side=10), picture(side=10), picture(side=10)))
