"""FID in closed form; KID without bias, and its error as large as it spreads."""

import numpy as np
import pytest
import torch
from torch import Tensor

from translate.metrics import Result
from translate.metrics.distance import Distance, frechet, kernel


def draw(seed: int, count: int = 40, dims: int = 4, shift: float = 0.0) -> Tensor:
    return torch.randn(count, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def test_frechet_of_a_shift_is_its_square() -> None:
    real = draw(0, 50, 5)
    assert frechet(real + torch.tensor([3.0, 0, 0, 4, 0]), real) == pytest.approx(25, abs=1e-6)
    assert frechet(real, real) == pytest.approx(0, abs=1e-6)


def test_frechet_of_a_stretch_is_that_of_the_deviations() -> None:
    real = draw(0, 50, 5)
    centred = real - real.mean(0)
    spread = float(torch.cov(real.T).trace())
    assert frechet(3 * centred, centred) == pytest.approx(4 * spread, rel=1e-6)  # (3 − 1)² Tr Σ


def whole(fake: Tensor, real: Tensor) -> float:
    """Eq. 4 of Bińkowski et al. 2018 over all samples."""

    def k(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def apart(a: Tensor) -> float:
        table = k(a, a)
        return float((table.sum() - table.diag().sum()) / (len(a) * (len(a) - 1)))

    return apart(fake) + apart(real) - 2 * float(k(fake, real).mean())


def test_kid_is_that_of_all_samples() -> None:
    fake, real = draw(1, shift=0.7), draw(2)
    score = kernel(fake, real)
    assert score.error is not None
    assert score.value == pytest.approx(whole(fake, real), abs=score.error / 2)  # 100 subsets: a tenth of the error, √2 of it


def test_the_error_of_kid_is_what_it_spreads_over_other_samples() -> None:
    found = [whole(draw(2 * k, shift=0.7), draw(2 * k + 1)) for k in range(200)]
    told = [kernel(draw(2 * k, shift=0.7), draw(2 * k + 1), subsets=60).error or 0 for k in range(30)]
    assert 0.75 < np.mean(told) / np.std(found) < 1.35


def test_the_error_of_kid_follows_from_smaller_subsets_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.metrics.distance.LARGEST_SUBSET", 12)  # of 60, which spread √4 times as much
    found = [whole(draw(2 * k, 60, shift=0.7), draw(2 * k + 1, 60)) for k in range(200)]
    told = [kernel(draw(2 * k, 60, shift=0.7), draw(2 * k + 1, 60), subsets=60).error or 0 for k in range(30)]
    assert 0.75 < np.mean(told) / np.std(found) < 1.5


def test_unequal_counts_never_make_the_error_too_small() -> None:
    found = [whole(draw(2 * k, 24, shift=0.7), draw(2 * k + 1, 96)) for k in range(200)]
    told = [kernel(draw(2 * k, 24, shift=0.7), draw(2 * k + 1, 96), subsets=60).error or 0 for k in range(30)]
    assert 0.8 < np.mean(told) / np.std(found) < 2


def test_kid_of_one_distribution_is_zero_on_average() -> None:
    scores = [kernel(draw(2 * k), draw(2 * k + 1), subsets=20).value for k in range(60)]
    assert abs(np.mean(scores)) < 3 * np.std(scores) / np.sqrt(60)


def test_subsets_are_drawn_alike_each_time_and_leave_the_dice_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = kernel(draw(1), draw(2))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert kernel(draw(1), draw(2)) == first


def mean_colour(picture: Tensor) -> Tensor:
    return picture.mean((2, 3))


def test_targets_and_pictures_without_partner_are_the_same_to_it() -> None:
    pictures = torch.rand(8, 1, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    paired, alone = Distance(mean_colour), Distance(mean_colour, suffix="-eyes")
    for fake, real in zip(pictures[:4], pictures[4:], strict=True):
        paired.add(Result("p", fake, fake, real))
        alone.add(Result("p", fake, fake))
        alone.add_real(real)
    assert {f"{name}-eyes": score for name, score in paired.scores().items()} == alone.scores()
    assert set(alone.scores()) == {"fid-eyes", "kid-eyes"}


def test_too_few_pictures_are_refused() -> None:
    measure = Distance(mean_colour)
    for _ in range(3):
        measure.add(Result("p", torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)))
    with pytest.raises(ValueError, match="need 4 pictures of each kind; here are 3 and 3"):
        measure.scores()
