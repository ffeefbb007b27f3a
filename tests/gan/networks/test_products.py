"""Convolutions that are matrix products in training: the same numbers, gradients and gradients of gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from translate.gan.networks.blocks import Doubling, Halving

CASES = [(Halving, conv2d), (Doubling, conv_transpose2d)]


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which of the two ways was taken."""
    taken: list[str] = []

    def watched(name: str) -> Callable[..., Tensor]:
        real = getattr(nn.functional, name)

        def call(*args: Any, **kwargs: Any) -> Tensor:
            taken.append(name)
            made: Tensor = real(*args, **kwargs)
            return made

        return call

    for name in ("unfold", "fold"):
        monkeypatch.setattr(nn.functional, name, watched(name))
    return taken


@pytest.mark.parametrize(("kind", "convolution"), CASES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 4, 6), (3, 8, 4)])
def test_a_product_is_the_convolution(
    kind: type[Halving] | type[Doubling], convolution: Callable[..., Tensor], bias: bool, shape: tuple[int, int, int],
    products: list[str],
) -> None:  # fmt: skip
    torch.manual_seed(0)
    layer = kind(128, 128, bias=bias).double()
    x = torch.randn(shape[0], 128, *shape[1:], dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]

    def taken(y: Tensor) -> list[Tensor]:
        gradients = torch.autograd.grad(y.square().sum(), inputs, create_graph=True)
        # What a gradient penalty differentiates again
        return [y, *gradients, *torch.autograd.grad(gradients[0].square().sum(), inputs[:2])]

    found = taken(layer(x))
    assert products
    wanted = taken(convolution(x, layer.weight, layer.bias, stride=2, padding=1))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("kind", "convolution"), CASES)
def test_in_bfloat16_it_is_as_near_to_float32_as_a_convolution(
    kind: type[Halving] | type[Doubling], convolution: Callable[..., Tensor], products: list[str]
) -> None:
    torch.manual_seed(0)
    layer = kind(128, 128)
    x = torch.randn(2, 128, 8, 8, requires_grad=True)

    def taken(low: bool, made: Callable[[], Tensor]) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            y = made()
        assert y.dtype == (torch.bfloat16 if low else torch.float32)
        return [y.float(), *torch.autograd.grad(y.float().square().sum(), [x, *layer.parameters()])]

    def plain() -> Tensor:
        return convolution(x, layer.weight, layer.bias, stride=2, padding=1)

    exact, ours, theirs = taken(False, plain), taken(True, lambda: layer(x)), taken(True, plain)
    assert products
    for right, one, other in zip(exact, ours, theirs, strict=True):
        assert (one - right).norm() <= 1.5 * (other - right).norm() + 1e-3 * right.norm()


@pytest.mark.parametrize(("kind", "_"), CASES)
def test_elsewhere_it_is_a_convolution(kind: type[Halving] | type[Doubling], _: object, products: list[str]) -> None:
    layer = kind(128, 128)
    layer.eval()(torch.zeros(1, 128, 4, 4))  # so that what is exported is one node
    layer.train()
    layer(torch.zeros(1, 128, 64, 64))  # many places
    kind(8, 8)(torch.zeros(1, 8, 4, 4))  # few weights
    assert not products
