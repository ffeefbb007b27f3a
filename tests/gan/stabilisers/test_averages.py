"""Averages of weights, followed by hand."""

import pytest
import torch
from torch import nn

from translate.gan.stabilisers import EMA, HistoricalAveraging


def test_the_average_follows_the_formula() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    ema = EMA(network, decay=0.9)
    nn.init.ones_(network.weight)
    ema.update(network, step=10_000)
    assert ema.network.weight.item() == pytest.approx(0.1)
    ema.update(network, step=10_000)
    assert ema.network.weight.item() == pytest.approx(0.19)


def test_the_start_is_forgotten_early() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    ema = EMA(network, decay=0.999)
    nn.init.ones_(network.weight)
    for step in range(1, 30):
        ema.update(network, step)
    assert ema.network.weight.item() > 0.99


def test_buffers_are_copied_and_the_network_is_left_alone() -> None:
    network = nn.BatchNorm1d(2)
    ema = EMA(network)
    network(torch.rand(8, 2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    ema.update(network, 1)
    assert torch.equal(ema.network.running_mean, network.running_mean)  # type: ignore[arg-type]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_without_decay_the_average_is_the_network() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema = EMA(network, decay=0)
    network(torch.rand(8, 2)).sum().backward()
    torch.optim.AdamW(network.parameters(), 0.1).step()
    ema.update(network, 1)
    for name, value in network.state_dict().items():
        assert torch.equal(ema.network.state_dict()[name], value)
    assert network.training
    assert not ema.network.training
    assert not any(parameter.requires_grad for parameter in ema.network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    ours, theirs = (part[0].weight.data_ptr() for part in (network, ema.network))  # type: ignore[index]
    assert ours == theirs  # nothing was moved


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_refuses_a_decay_out_of_range(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        EMA(nn.Linear(1, 1), decay)


def vector(*values: float) -> nn.Linear:
    network = nn.Linear(len(values), 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([values]))
    return network


def test_history_is_the_mean_of_all_updates() -> None:
    history = HistoricalAveraging(weight=3)
    assert history.penalty(vector(1, 0)).item() == 0  # the start is the whole history
    history.update(vector(4, 0))
    history.update(vector(4, 6))
    assert torch.allclose(history.mean, torch.tensor([3.0, 2.0]))
    network = vector(5, 5)
    penalty = history.penalty(network)
    assert penalty.item() == pytest.approx(3 * (2**2 + 3**2))
    penalty.backward()
    assert network.weight.grad is not None
    assert torch.allclose(network.weight.grad, torch.tensor([[3 * 2 * 2.0, 3 * 2 * 3.0]]))
    assert not history.mean.requires_grad


def test_history_takes_in_every_parameter_and_changes_none() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    history = HistoricalAveraging()
    history.penalty(network)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert history.penalty(network).item() == pytest.approx(6 + 2 + 2 + 1, rel=1e-5)
    history.update(network)
    assert all(torch.equal(new, old + 1) for old, new in zip(before, network.parameters(), strict=True))


def test_history_goes_on_from_a_checkpoint() -> None:
    first = HistoricalAveraging()
    first.penalty(vector(1, 0))
    first.update(vector(4, 0))
    second = HistoricalAveraging()
    second.load_state_dict(first.state_dict())
    for history in (first, second):
        history.update(vector(4, 6))
    assert second.mean.tolist() == first.mean.tolist() == [3, 2]


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_history_refuses_a_weight_that_is_none(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        HistoricalAveraging(weight)


# Mutants tried, each of which fails a test: (HistoricalAveraging) the mean of squares for their sum; a moving average for
# the mean; a history that gradients reach; a history that begins at 0; a state that is not restored.
