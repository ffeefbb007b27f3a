"""What watches: explosions against the past, critics that are sure of everything, fakes that are all alike."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from translate.gan.adversary import Adversary
from translate.gan.constraints import Unconstrained, WeightClipping
from translate.gan.objectives import LeastSquares, Objective, Wasserstein
from translate.training.watch import ALIKE, BLOCK, SURE, WINDOW, Collapse, History


@given(st.lists(st.floats(-1000, 1000, allow_nan=False), min_size=BLOCK, max_size=3 * BLOCK), st.floats(1.5, 100))
def test_what_stays_within_the_limit_never_explodes(losses: list[float], limit: float) -> None:
    history = History(limit)
    losses = [1000.0, *losses]
    assert not any(history.explodes("critic", loss) for loss in losses)


def test_a_loss_explodes_beyond_its_limit_alone_and_each_player_has_its_own() -> None:
    history = History(10)
    for _ in range(BLOCK):
        assert not history.explodes("critic", -2.0)
        assert not history.explodes("generator", 100.0)
    assert not history.explodes("critic", 19.0)
    assert history.explodes("critic", -21.0)
    assert not history.explodes("generator", 900.0)
    assert not History(0).explodes("critic", 1e300)


def test_slow_growth_is_seen_and_a_quiet_start_is_not_held_against_it() -> None:
    history = History(1000)
    assert not any(history.explodes("critic", 10.0**k) for k in range(-50, 40))  # no block is finished
    growing = History(1000)
    losses = [1.0] * BLOCK + [1.1**k for k in range(BLOCK)]
    assert [growing.explodes("critic", loss) for loss in losses].index(True) == BLOCK + 73  # 1.1⁷³ is the first above 1000


def test_history_goes_on_where_it_was_kept() -> None:
    whole, first = History(5), History(5)
    for k in range(150):
        whole.explodes("critic", float(k))
        first.explodes("critic", float(k))
    second = History(5, first.state)
    assert second.state == whole.state
    assert whole.explodes("critic", 500.0) == second.explodes("critic", 500.0) == True  # noqa: E712


class Fixed(nn.Module):
    """A critic that gives the mean of a sample."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).mean(dim=1)


class Game(nn.Module):
    def __init__(self, objective: Objective) -> None:
        super().__init__()
        constraint = WeightClipping() if objective.lipschitz else Unconstrained()
        self.D = Adversary(Fixed(), objective, constraint)


def watched(game: Game, real: Tensor, fake: Tensor, steps: int, first: int = 1) -> list[str]:
    watch, said = Collapse(game, steps=10), []  # type: ignore[arg-type]
    for step in range(first, first + steps):
        watch.begin()
        game.D.critic(real + 0.0, fake + 0.0)
        said += watch.warnings(step)
    return said


def spread(mean: float, deviation: float) -> Tensor:
    """Four samples `[4, 1, 16, 16]`."""
    return mean + deviation * torch.tensor([-1.0, -1.0, 1.0, 1.0]).view(4, 1, 1, 1).expand(4, 1, 16, 16)


def test_a_critic_that_is_sure_is_told_once_and_only_after_a_while() -> None:
    margin = (SURE * 0.25 * 0.9) ** 0.5  # least squares: guessing costs ¼, and both sides ½ margin²
    near, far = ((spread(1 - m, 0), spread(m, 0)) for m in (margin, margin * 1.2))
    assert watched(Game(LeastSquares()), *near, steps=WINDOW - 1) == []
    (told,) = watched(Game(LeastSquares()), *near, steps=3 * WINDOW)
    assert told.startswith(f"step {WINDOW}: critic D is sure of everything: its loss is 0.9%")
    assert watched(Game(LeastSquares()), *far, steps=3 * WINDOW) == []
    assert watched(Game(Wasserstein()), *near, steps=3 * WINDOW) == []  # its critic ought to be as good as it can


@pytest.mark.parametrize(("share", "alike"), [(ALIKE * 0.9, True), (ALIKE * 1.1, False), (0.0, True), (1.0, False)])
def test_fakes_that_are_alike_are_told(share: float, alike: bool) -> None:
    said = watched(Game(LeastSquares()), spread(0.5, 0.4), spread(0.5, 0.4 * share), steps=WINDOW + 5, first=2)
    assert [f"differ by {share:.1%}" in text for text in said] == [True] * alike


def test_a_start_is_no_collapse() -> None:
    game = Game(LeastSquares())
    watch = Collapse(game, steps=10_000)  # type: ignore[arg-type]
    for step in range(1, 1000):
        watch.begin()
        game.D.critic(spread(0.5, 0.4), spread(0.5, 0))
        assert not watch.warnings(step)


def test_single_pictures_are_compared_from_step_to_step() -> None:
    game, said = Game(LeastSquares()), []
    watch = Collapse(game, steps=10)  # type: ignore[arg-type]
    for step in range(1, 3 * WINDOW):
        watch.begin()
        game.D.critic(spread(0.5, 0.4)[step % 4][None], spread(0.5, 0)[:1])
        said += watch.warnings(step)
    assert len(said) == 1


def test_scores_and_the_wasserstein_estimate_are_measured_where_the_critic_moved() -> None:
    game = Game(Wasserstein())
    watch = Collapse(game, steps=10)  # type: ignore[arg-type]
    assert watch.measures() == {}
    game.D.critic(spread(0.75, 0.1), spread(0.5, 0.3))
    assert watch.measures() == pytest.approx({"score/D/real": 0.75, "score/D/fake": 0.5, "wasserstein/D": 0.25})
    watch.begin()
    assert watch.measures() == {}
    plain = Game(LeastSquares())
    plain.D.critic(spread(0.75, 0.1), spread(0.5, 0.3))
    assert "wasserstein/D" not in Collapse(plain, 10).measures()  # type: ignore[arg-type]
