"""The pool: what it hands back, how often, and that a resumed one goes on exactly."""

import pytest
import torch
from torch import Tensor, nn

from translate.gan.stabilisers import PicturePool


def pictures(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()


def test_hands_back_the_newest_until_it_is_full() -> None:
    pool = PicturePool(size=3)
    assert torch.equal(pool(pictures(0, 1)), pictures(0, 1))
    assert torch.equal(pool(pictures(2)), pictures(2))
    assert torch.equal(pool.pictures, pictures(0, 1, 2))


def test_swaps_half_of_them_with_a_random_one() -> None:
    torch.manual_seed(0)
    pool = PicturePool(size=5)
    pool(pictures(*range(5)))
    given, kept, places = 0, 0, set()
    for value in range(5, 1005):
        before = pool.pictures.clone()
        out = pool(pictures(value))[0, 0, 0, 0].item()
        if out == value:
            kept += 1
            assert torch.equal(pool.pictures, before)
        else:
            given += 1
            place = before[:, 0, 0, 0].tolist().index(out)  # an earlier one, which leaves
            places.add(place)
            assert pool.pictures[place, 0, 0, 0] == value
            assert (pool.pictures != before).any(1).any(1).any(1).sum() == 1
    assert given / (given + kept) == pytest.approx(0.5, abs=0.05)
    assert places == set(range(5))
    assert len(pool.pictures) == 5


def test_nothing_is_lost_and_nothing_shown_twice() -> None:
    torch.manual_seed(1)
    pool = PicturePool(size=4)
    pool(pictures(*range(4)))
    shown = [pool(pictures(value))[0, 0, 0, 0].item() for value in range(4, 60)]
    assert sorted(shown + pool.pictures[:, 0, 0, 0].tolist()) == list(range(60))


def test_no_gradient_and_no_shared_memory() -> None:
    pool = PicturePool(size=2)
    fake = pictures(1, 2).requires_grad_()
    out = pool(fake)
    assert not out.requires_grad
    out.zero_()
    assert torch.equal(pool.pictures, pictures(1, 2))
    assert fake.sum() > 0


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = PicturePool(size=3)


@pytest.mark.parametrize("seen", [0, 2, 6])
def test_resumes_exactly(seen: int) -> None:
    torch.manual_seed(2)
    model = Model()
    if seen:
        model.pool(pictures(*range(seen)))
    state, chance = model.state_dict(), torch.get_rng_state()
    assert all(isinstance(value, Tensor) for value in state.values())  # so that safetensors takes it
    resumed = Model()
    resumed.load_state_dict({key: value.clone() for key, value in state.items()})
    torch.set_rng_state(chance)
    going_on = resumed.pool(pictures(*range(10, 20)))
    torch.set_rng_state(chance)
    assert torch.equal(going_on, model.pool(pictures(*range(10, 20))))


def test_a_copy_does_not_share_the_pictures() -> None:
    first, second = PicturePool(size=1), PicturePool(size=1)
    first(pictures(1))
    second.load_state_dict(first.state_dict())
    torch.manual_seed(0)
    for value in range(2, 9):
        second(pictures(value))
    assert not torch.equal(second.pictures, pictures(1))
    assert torch.equal(first.pictures, pictures(1))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="size"):
        PicturePool(size=0)
    pool = PicturePool()
    pool(torch.zeros(1, 3, 2, 2))
    with pytest.raises(ValueError, match=r"\[3, 2, 2\] and was given \[3, 4, 4\]"):
        pool(torch.zeros(1, 3, 4, 4))


# Mutants tried, each of which fails a test: never a swap; a swap with probability 0.3; always the first place; memory
# shared between what is handed back and what is kept, or between two pools; the newest not kept; a state that is not
# restored.
