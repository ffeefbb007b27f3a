"""Restorer: identity at the start, any multiple of its stride, and a reach that is exact."""

import pytest
import torch

from translate.gan.networks import Restorer


@pytest.mark.parametrize("blocks", [(1,), (1, 1), (2, 1, 1), (0, 1, 2)])
def test_starts_as_the_identity(blocks: tuple[int, ...]) -> None:
    network = Restorer(4, blocks)
    x = torch.rand(2, 3, 2 * network.stride, 3 * network.stride) * 2 - 1
    assert torch.equal(network(x), x)


@pytest.mark.parametrize("blocks", [(1,), (1, 1), (2, 1, 1), (0, 1, 2)])
def test_reach_is_how_far_a_pixel_sees(blocks: tuple[int, ...]) -> None:
    """With positive weights nothing cancels, so the gradient's support is the receptive field."""
    network = Restorer(2, blocks)
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.05 if parameter.dim() == 4 else 0)
    stride = network.stride
    margin = -(-network.reach // stride) * stride
    x = torch.rand(1, 3, 2 * margin + stride, 2 * margin + stride, requires_grad=True)
    y = network(x)
    seen = 0
    for row in range(margin, margin + stride):
        (gradient,) = torch.autograd.grad(y[0, 0, row, margin], x, retain_graph=True)
        rows = gradient[0].abs().sum((0, 2)).nonzero().flatten()
        seen = max(seen, row - int(rows.min()), int(rows.max()) - row)
    assert seen == network.reach


def test_refuses_an_impossible_shape() -> None:
    with pytest.raises(ValueError, match="blocks"):
        Restorer(4, ())
    with pytest.raises(ValueError, match="widest"):
        Restorer(4, (1,), widest=3)


def test_deep_levels_are_no_wider_than_the_widest() -> None:
    network = Restorer(4, (0, 0, 1, 1), widest=8)
    assert [down.out_channels for down in network.down] == [8, 8, 8]
    x = torch.rand(1, 3, 16, 32) * 2 - 1
    assert torch.equal(network(x), x)
