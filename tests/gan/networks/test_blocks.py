"""Blocks: what each norm normalises, right gradients in every memory format, and where upsampling covers unevenly."""

import pytest
import torch
from torch import Tensor, nn

from translate.gan.networks import blocks


@pytest.mark.parametrize(("kind", "over"), [("batch", (0, 2, 3)), ("instance", (2, 3)), ("layer", (1, 2, 3))])
def test_each_norm_takes_its_mean_and_variance_over_its_own_axes(kind: str, over: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64) * torch.rand(3, 4, 1, 1) + torch.rand(3, 4, 1, 1)
    y = blocks.norm(kind, 4).double()(x)
    wanted = (x - x.mean(over, keepdim=True)) / (x.var(over, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(y, wanted)


def test_none_changes_nothing() -> None:
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(blocks.norm("none", 3)(x), x)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("kind", blocks.NORMS)
def test_gradients_do_not_depend_on_the_memory_format(kind: str, batch: int) -> None:
    torch.manual_seed(0)
    layer = blocks.norm(kind, 6).double()
    x, push = torch.randn(2, batch, 6, 8, 8, dtype=torch.float64)

    def gradient(memory_format: torch.memory_format) -> Tensor:
        start = x.clone(memory_format=memory_format).requires_grad_()
        layer(start).backward(push.contiguous(memory_format=memory_format))
        assert start.grad is not None
        return start.grad

    torch.testing.assert_close(gradient(torch.channels_last), gradient(torch.contiguous_format))


@pytest.mark.parametrize("kind", blocks.NORMS)
def test_a_bias_is_left_out_only_where_the_norm_would_remove_it(kind: str) -> None:
    torch.manual_seed(0)
    layer = blocks.norm(kind, 3)
    x = torch.randn(2, 3, 4, 4)
    removed = torch.allclose(layer(x), layer(x + torch.tensor([1.0, 2.0, 3.0])[:, None, None]), atol=1e-4)
    assert removed != blocks.biased(kind)


def cover(kind: str, kernel: int) -> Tensor:
    """How many places write to each pixel."""
    layer = blocks.upsampling(kind, 1, 1, kernel, bias=False)
    for weight in layer.parameters():
        nn.init.ones_(weight)
    return layer(torch.ones(1, 1, 6, 6))[0, 0]


def test_a_kernel_that_the_stride_does_not_divide_covers_like_a_checkerboard() -> None:
    assert cover("transposed", 3)[:4, :4].tolist() == [[1, 2, 1, 2], [2, 4, 2, 4], [1, 2, 1, 2], [2, 4, 2, 4]]


def test_kernel_4_covers_evenly_but_for_the_border() -> None:
    counts = cover("transposed", 4)
    assert (counts[1:-1, 1:-1] == 4).all()
    assert (counts[0, 1:-1] == 2).all()
    assert counts[0, 0] == 1


def test_resizing_repeats_each_pixel_before_the_convolution() -> None:
    layer, x = blocks.upsampling("resize", 1, 1, bias=False), torch.rand(1, 1, 3, 4)
    (kernel,) = layer.parameters()
    nn.init.dirac_(kernel)
    assert torch.equal(layer(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_resizing_covers_evenly_up_to_the_border() -> None:
    assert (cover("resize", 4) == 9).all()


@pytest.mark.parametrize(("kind", "kernel", "even"), [("transposed", 3, False), ("transposed", 4, False), ("resize", 4, True)])
def test_only_resizing_keeps_a_flat_picture_flat_whatever_the_weights(kind: str, kernel: int, even: bool) -> None:
    """Even cover is not all: each of the four phases of a transposed convolution has weights of its own."""
    torch.manual_seed(0)
    inside = blocks.upsampling(kind, 3, 1, kernel)(torch.ones(1, 3, 6, 6))[0, 0, 2:-2, 2:-2]
    assert torch.allclose(inside, inside.roll((2, 2), (0, 1)), atol=1e-6)  # the pattern's period is the stride
    assert torch.allclose(inside, inside[0, 0], atol=1e-6) == even


@pytest.mark.parametrize(("size", "wanted"), [(8, (1, 4)), (12, (1, 6)), (16, (2, 4)), (28, (2, 7)), (32, (3, 4)), (128, (5, 4))])
def test_halvings(size: int, wanted: tuple[int, int]) -> None:
    assert blocks.halvings(size) == wanted


@pytest.mark.parametrize("size", [0, 4, 7, 15, 30, 100])
def test_a_size_that_cannot_be_halved_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="halved"):
        blocks.halvings(size)


def test_weights_start_from_the_papers_distribution() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(64, 64, 4), nn.ConvTranspose2d(64, 64, 4), nn.BatchNorm2d(4096), nn.Linear(256, 256))
    network.apply(blocks.initialise)
    for layer, middle in zip(network, (0, 0, 1, 0), strict=True):
        assert layer.weight.mean().item() == pytest.approx(middle, abs=2e-3)
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert not layer.bias.any()


def test_unknown_kinds_list_the_choices() -> None:
    with pytest.raises(ValueError, match="batch, instance, layer, none"):
        blocks.norm("group", 3)
    with pytest.raises(ValueError, match="transposed, resize"):
        blocks.upsampling("bilinear", 3, 3)


# Mutants tried: instance as InstanceNorm2d (its wrong gradient); layer as one group a channel; a bias kept before every norm;
#   no bias before layer; resize padded with zeros; resize with bilinear instead of nearest; weights from N(0, 0.2).


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 8, 6, 4), (3, 5, 4, 6), (2, 1, 3, 3), (2, 4, 1, 1)])
@pytest.mark.parametrize("given", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("returned", [torch.channels_last, torch.contiguous_format])
def test_an_instance_is_normalised_alike_in_every_memory_format(
    dtype: torch.dtype, shape: tuple[int, ...], given: torch.memory_format, returned: torch.memory_format
) -> None:
    torch.manual_seed(0)
    sample, gradient = (torch.randn(shape, dtype=torch.float64).to(dtype) * 2 + 1 for _ in range(2))
    x = sample.clone(memory_format=given).requires_grad_()
    y = blocks.InstanceNorm(shape[1])(x)
    (found,) = torch.autograd.grad(y, x, gradient.clone(memory_format=returned), create_graph=dtype == torch.float64)
    exact = sample.double().requires_grad_()
    centred = exact - exact.mean(dim=(2, 3), keepdim=True)
    wanted = centred / (centred.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
    (slope,) = torch.autograd.grad(wanted, exact, gradient.double(), create_graph=True)
    tolerance = 1e-9 if dtype == torch.float64 else 0.05
    torch.testing.assert_close(y.double(), wanted, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found.double(), slope, rtol=tolerance, atol=tolerance)
    if dtype == torch.float64:  # what a gradient penalty differentiates again
        (again,), (right,) = (torch.autograd.grad(g.square().sum(), at) for g, at in ((found, x), (slope, exact)))
        torch.testing.assert_close(again, right, rtol=1e-7, atol=1e-7)


def test_an_instance_is_normalised_by_one_operation_where_it_is_exported() -> None:
    x = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    with torch.profiler.profile() as watched:
        blocks.InstanceNorm(3).eval()(x)
    assert "aten::native_group_norm" in {event.key for event in watched.key_averages()}
