"""What holds of every network: gradients, seeds, memory formats, flat pictures, labels and penalties."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from translate.gan.networks import NETWORKS

LABELS = 3
# A small one of each, for `extra` more inputs, and the shape of what it takes.
SMALL: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "mlp-generator": (lambda extra=0, **k: NETWORKS["mlp-generator"](4 + extra, (2,), 16, 2, **k), (4,)),
    "mlp-critic": (lambda extra=0, **k: NETWORKS["mlp-critic"]((2 + extra,), 16, 2, **k), (2,)),
    "mlp-encoder": (lambda extra=0, **k: NETWORKS["mlp-encoder"](4, (2 + extra,), 16, 2, **k), (2,)),
    "dcgan-generator": (lambda extra=0, **k: NETWORKS["dcgan-generator"](4 + extra, 1, 16, 4, **k), (4,)),
    "dcgan-critic": (lambda extra=0, **k: NETWORKS["dcgan-critic"](1 + extra, 16, 4, **k), (1, 16, 16)),
    "dcgan-encoder": (lambda extra=0, **k: NETWORKS["dcgan-encoder"](4, 1 + extra, 16, 4, **k), (1, 16, 16)),
    "autoencoder-critic": (lambda extra=0, **k: NETWORKS["autoencoder-critic"]((1 + extra, 16, 16), 4, 8, **k), (1, 16, 16)),
    "unet": (lambda extra=0, **k: NETWORKS["unet"](3 + extra, 3, 2, 3, dropout=0, **k), (3, 16, 16)),
    "resnet": (lambda extra=0, **k: NETWORKS["resnet"](3 + extra, 3, 2, 2, **k), (3, 16, 16)),
    "patchgan": (lambda extra=0, **k: NETWORKS["patchgan"](3 + extra, 4, 1, **k), (3, 16, 16)),
}
CONVOLUTIONAL = [name for name in SMALL if not name.startswith("mlp")]
CRITICS = [name for name in SMALL if name.endswith("critic") or name == "patchgan"]
NORMS = ["batch", "instance", "layer", "none"]
CASES = [(name, norm) for name in SMALL for norm in NORMS if name in CONVOLUTIONAL or norm != "instance"]


def test_every_network_is_here() -> None:
    assert set(SMALL) == set(NETWORKS) - {"restorer"}


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_a_gradient_reaches_every_parameter(name: str, norm: str) -> None:
    torch.manual_seed(0)
    make, shape = SMALL[name]
    network = make(norm=norm).double()
    y = network(torch.randn(3, *shape, dtype=torch.float64))
    (y * torch.randn_like(y)).sum().backward()
    idle = [key for key, p in network.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-12]
    assert not idle


@pytest.mark.parametrize("name", SMALL)
def test_equal_seeds_give_equal_networks(name: str) -> None:
    make, shape = SMALL[name]
    x, outputs = torch.randn(2, *shape), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        network = make()
        outputs.append(network(x))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "unet with products"])
def test_gradients_are_slopes(name: str, norm: str, samples: int, memory_format: torch.memory_format) -> None:
    """Whatever the layout: torch's normalisations returned wrong ones for a single picture."""
    torch.manual_seed(0)
    # At the bottom of the last there are layers wide enough to be matrix products
    make, shape = SMALL.get(name, (lambda norm: NETWORKS["unet"](3, 3, 16, 6, norm, dropout=0), (3, 64, 64)))
    network = make(norm=norm).double().to(memory_format=memory_format)
    z = torch.randn(samples, *shape, dtype=torch.float64)
    z = z.contiguous(memory_format=memory_format) if z.dim() == 4 else z
    push = torch.randn_like(network(z))
    # Not from biases of 0, where what is dead stands on the kink of a ReLU
    start = {"": z} | {key: weight + 0.01 * torch.randn_like(weight) for key, weight in network.named_parameters()}
    way = {key: torch.randn_like(tensor) for key, tensor in start.items()}

    def at(step: Tensor | float) -> Tensor:
        moved = {key: tensor + step * way[key] for key, tensor in start.items()}
        return (functional_call(network, moved, (moved.pop(""),)) * push).sum()

    place = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (told,) = torch.autograd.grad(at(place), place)
    with torch.no_grad():
        seen = (at(1e-9) - at(-1e-9)) / 2e-9
    torch.testing.assert_close(told, seen, rtol=1e-2, atol=0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_flat_pictures_give_no_nan(name: str, norm: str) -> None:
    make, shape = SMALL[name]
    network = make(norm=norm)
    x = torch.zeros(2, *shape, requires_grad=True)
    network(x).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in (x, *network.parameters()))


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_only_the_batch_norm_mixes_samples(name: str, norm: str) -> None:
    torch.manual_seed(0)
    make, shape = SMALL[name]
    network, x = make(norm=norm).double(), torch.randn(3, *shape, dtype=torch.float64)
    alone = torch.cat([network(one[None].expand(2, *shape))[:1] for one in x])
    assert torch.allclose(network(x), alone) == (norm != "batch")


@pytest.mark.parametrize("name", SMALL)
def test_labels_as_further_inputs_are_all_that_a_conditional_network_needs(name: str) -> None:
    torch.manual_seed(0)
    make, shape = SMALL[name]
    network, x = make(extra=LABELS, norm="none").double(), torch.randn(LABELS, *shape, dtype=torch.float64)[:1]

    def with_label(label: int) -> Tensor:
        one_hot = torch.eye(LABELS, dtype=torch.float64)[label].view(1, LABELS, *[1] * (x.dim() - 2))
        return network(torch.cat([x, one_hot.expand(1, LABELS, *x.shape[2:])], 1))

    answers = [with_label(label) for label in range(LABELS)]
    assert not torch.allclose(answers[0], answers[1], rtol=1e-9, atol=0)
    assert not torch.allclose(answers[1], answers[2], rtol=1e-9, atol=0)


@pytest.mark.parametrize(("name", "norm"), [case for case in CASES if case[0] in CRITICS and case[1] != "batch"])
def test_a_penalty_on_the_gradient_can_be_learnt_from(name: str, norm: str) -> None:
    torch.manual_seed(0)
    make, shape = SMALL[name]
    network, x = make(norm=norm), torch.randn(2, *shape, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    gradient.square().sum().backward()
    reached = [p for p in network.parameters() if p.grad is not None and p.grad.any()]
    assert reached
    assert all(p.grad.isfinite().all() for p in reached if p.grad is not None)
    assert network.energy == (name == "autoencoder-critic")


def test_generators_from_a_latent_tell_its_size() -> None:
    assert [NETWORKS[name](latent=7).latent for name in ("mlp-generator", "dcgan-generator")] == [7, 7]


# Mutants tried: instance as InstanceNorm2d: its wrong gradient at batch 1 in channels_last; a bias kept before every norm.
