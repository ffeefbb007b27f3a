"""Virtual batch normalisation: by hand, and what depends on what."""

import pytest
import torch
from torch import Tensor, nn

from translate.gan.adversary import Adversary
from translate.gan.constraints import Unconstrained
from translate.gan.networks import DCGANGenerator, MLPCritic, MLPGenerator
from translate.gan.objectives import NonSaturating
from translate.gan.stabilisers import EMA, ReferenceBatch, VirtualBatchNorm
from translate.models.dcgan import DCGAN


def deep(reference: Tensor) -> ReferenceBatch:
    """Two layers of it, so that what the first makes of the reference is the reference of the second."""
    if reference.dim() == 2:
        network = nn.Sequential(nn.Linear(3, 4), VirtualBatchNorm(4), nn.ReLU(), nn.Linear(4, 2), VirtualBatchNorm(2))
    else:
        network = nn.Sequential(nn.Conv2d(3, 4, 3), VirtualBatchNorm(4), nn.ReLU(), nn.Conv2d(4, 2, 1), VirtualBatchNorm(2))
    return ReferenceBatch(network, reference).double()


SHAPES = [(6, 3), (6, 3, 5, 4)]


def test_by_hand() -> None:
    network = ReferenceBatch(VirtualBatchNorm(1, eps=0), torch.tensor([[0.0], [2.0]]))
    # {0, 2, 4}: mean 2, variance 8/3. {0, 2, 1}: mean 1, variance 2/3.
    assert network(torch.tensor([[4.0], [1.0]])).flatten().tolist() == pytest.approx([2 / (8 / 3) ** 0.5, 0])


@pytest.mark.parametrize("shape", SHAPES)
def test_each_sample_is_normalised_with_the_reference_and_itself(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    reference, x = 3 * torch.randn(shape) + 7, torch.randn(4, *shape[1:])
    got = ReferenceBatch(VirtualBatchNorm(3), reference)(x)
    for sample, result in zip(x, got, strict=True):
        expected = nn.functional.batch_norm(torch.cat([reference, sample[None]]), None, None, training=True)[-1]
        assert torch.allclose(result, expected, atol=1e-5)


def test_the_reference_is_normalised_with_itself() -> None:
    torch.manual_seed(0)
    reference = torch.randn(6, 3)
    layer = VirtualBatchNorm(3)
    ReferenceBatch(layer, reference)
    alone = layer(torch.cat([reference, 100 * torch.randn(2, 3)]))[:6]
    assert torch.allclose(alone, nn.functional.batch_norm(reference, None, None, training=True), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sample_does_not_depend_on_its_neighbours(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = deep(torch.randn(shape, dtype=torch.float64))
    x = torch.randn(4, *shape[1:], dtype=torch.float64, requires_grad=True)
    out = network(x)
    assert out.shape[0] == 4
    other = x.detach().clone()
    other[1:] *= 50
    assert torch.allclose(network(other)[0], out[0], rtol=1e-12)
    assert torch.allclose(network(x[:1])[0], out[0], rtol=1e-12)
    (gradient,) = torch.autograd.grad(out[0].square().sum(), x)
    assert gradient[0].abs().sum() > 0
    assert gradient[1:].abs().sum() == 0


def test_a_sample_depends_on_the_reference() -> None:
    torch.manual_seed(0)
    network, x = deep(torch.randn(6, 3)), torch.randn(2, 3, dtype=torch.float64)
    before = network(x)
    network.reference += 1
    network.reference[0] *= 3
    assert not torch.allclose(network(x), before)


def test_the_reference_is_kept_and_nobody_changes_it() -> None:
    reference = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    network = deep(reference)
    assert torch.equal(network.state_dict()["reference"], reference.double())
    network.train()(torch.randn(3, 3, dtype=torch.float64))
    assert torch.equal(network.reference, reference.double())
    assert "reference" not in dict(network.named_parameters())


@pytest.mark.parametrize("shape", SHAPES)
def test_everything_learns(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = deep(torch.randn(shape))
    network(torch.randn(shape, dtype=torch.float64)).pow(3).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in list(network.parameters())[:1])
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_derivatives_are_right() -> None:
    torch.manual_seed(0)
    network = ReferenceBatch(nn.Sequential(VirtualBatchNorm(2), nn.Tanh(), VirtualBatchNorm(2)), torch.randn(3, 2, 2, 2)).double()
    assert torch.autograd.gradcheck(network, torch.randn(2, 2, 2, 2, dtype=torch.float64, requires_grad=True))


def test_scale_and_shift() -> None:
    torch.manual_seed(0)
    layer = VirtualBatchNorm(3)
    network, x = ReferenceBatch(layer, torch.randn(6, 3, 2, 2)), torch.randn(2, 3, 2, 2)
    plain = network(x)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        layer.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    expected = plain * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1) + torch.tensor([0.0, 1.0, -1.0]).view(3, 1, 1)
    assert torch.allclose(network(x), expected, atol=1e-6)


def test_flat_samples_give_no_nan() -> None:
    network = ReferenceBatch(VirtualBatchNorm(3), torch.ones(4, 3, 2, 2))
    assert network(torch.ones(2, 3, 2, 2)).abs().max() == 0


def test_coarse_numbers_have_exact_statistics() -> None:
    torch.manual_seed(0)
    layer, x = VirtualBatchNorm(3), (300 + 5 * torch.randn(8, 3, 4, 4)).bfloat16()
    ReferenceBatch(layer, x[:4])
    assert layer(x).dtype == torch.bfloat16
    assert torch.allclose(layer(x).float(), layer(x.float()), atol=0.02)


@pytest.mark.parametrize("network", [MLPGenerator(4, (1, 8, 8), 6, norm="batch"), DCGANGenerator(4, 1, 16, 6, "batch")])
def test_a_networks_batch_norms_are_replaced(network: nn.Module) -> None:
    """On the reference batch itself it then does what batch normalisation did, with the same weights."""
    torch.manual_seed(0)
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for layer in layers:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    z = torch.randn(6, 4)
    before = network(z)
    assert VirtualBatchNorm.convert(network) is network
    assert sum(isinstance(module, VirtualBatchNorm) for module in network.modules()) == len(layers) > 1
    ReferenceBatch(network, z)
    assert torch.allclose(network(z), before, atol=1e-5)


def dcgan(virtual: int) -> DCGAN:
    torch.manual_seed(0)
    critic = Adversary(MLPCritic((2,), 8, 2), NonSaturating(), Unconstrained())
    return DCGAN(MLPGenerator(4, width=8, norm="batch"), critic, virtual=virtual)


def test_a_generators_samples_do_not_depend_on_one_another() -> None:
    """Nor on whether it is in training: there are no running statistics."""
    for virtual in (0, 5):
        model = dcgan(virtual)
        z = model.latent(3)
        together, alone = model.G(z), [model.G.train(not virtual)(z[i:])[:1] for i in range(2)]
        assert torch.allclose(together[:2], torch.cat(alone), atol=1e-6) == bool(virtual)


def test_the_reference_goes_with_the_averaged_generator_and_into_its_file() -> None:
    model = dcgan(5)
    average = EMA(model.translator, 0.9)
    reference = model.G.reference
    assert isinstance(reference, Tensor)
    reference += 1
    average.update(model.translator, 1)
    held = average.network.state_dict()["reference"]
    assert torch.equal(held, reference)
    other = dcgan(5).translator
    other.load_state_dict(average.network.state_dict())
    z = torch.randn(2, 4)
    assert torch.equal(other(z), average.network(z))


def test_a_reference_of_noise_is_drawn_from_the_seed() -> None:
    one, again = dcgan(200), dcgan(200)
    assert torch.equal(one.G.reference, again.G.reference)  # type: ignore[arg-type]
    assert one.G.reference.shape == (200, 4)
    assert one.G.reference.std().item() == pytest.approx(1, abs=0.1)  # type: ignore[operator]


def test_refusals() -> None:
    with pytest.raises(ValueError, match="MLPGenerator has none"):
        VirtualBatchNorm.convert(MLPGenerator())
    with pytest.raises(ValueError, match="put the network in a ReferenceBatch"):
        VirtualBatchNorm(3)(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="at least 2"):
        ReferenceBatch(VirtualBatchNorm(3), torch.zeros(1, 3))


# Mutants tried, each of which fails a test: the reference's statistics alone; weights 1/R; one statistic over the whole
# batch, or over all samples but the reference; a variance without the distance of the means, or without the sample's own;
# the reference's results handed out; statistics in bfloat16; a conversion that leaves scale and shift behind, or replaces the
# first layer alone, or none without a word; a reference that the average does not take over, that is uniform, or not saved.
