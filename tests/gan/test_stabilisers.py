import pytest
import torch
from torch import nn

from translate.gan.stabilisers import EMA


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


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_refuses_a_decay_out_of_range(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        EMA(nn.Linear(1, 1), decay)
