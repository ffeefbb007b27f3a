"""Terms and layers that look at a whole batch, against hand calculations."""

import math

import pytest
import torch
from torch import nn

from translate.gan.adversary import Adversary
from translate.gan.constraints import Constraint, Dragan, GradientPenalty, Unconstrained, ZeroCentered
from translate.gan.networks import AutoencoderCritic, DCGANCritic, MLPCritic, MLPGenerator, PatchGAN
from translate.gan.objectives import EnergyBased, NonSaturating
from translate.gan.stabilisers import (
    FeatureMatching,
    MinibatchDiscrimination,
    MinibatchScore,
    PullingAway,
    feature_matching,
    pulling_away,
)
from translate.models.infogan import InfoGAN


def test_feature_matching_by_hand() -> None:
    real = torch.tensor([[1.0, 0.0], [3.0, 2.0]], requires_grad=True)  # mean 2, 1
    fake = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 3.0]], requires_grad=True)  # mean 1, 1
    loss = feature_matching(real, fake)
    assert loss.item() == pytest.approx(1)
    loss.backward()
    assert real.grad is None
    assert fake.grad is not None
    assert torch.allclose(fake.grad, torch.tensor([[-2 / 3, 0.0]] * 3))
    assert FeatureMatching(weight=5)(real, fake).item() == pytest.approx(5)


def test_feature_matching_keeps_channels_and_places_apart() -> None:
    real, fake = torch.zeros(2, 2, 1, 2), torch.ones(2, 2, 1, 2)
    fake[:, 1] = -1  # a mean over everything would be 0
    assert feature_matching(real, fake).item() == pytest.approx(4)
    with pytest.raises(ValueError, match="one layer"):
        feature_matching(torch.zeros(2, 3), torch.zeros(2, 1))


def test_pulling_away_by_hand() -> None:
    encodings = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, -3.0]])  # cos²: ½, 0, ½, each pair twice
    assert pulling_away(encodings).item() == pytest.approx(2 * (0.5 + 0 + 0.5) / (3 * 2))
    assert PullingAway(weight=3)(encodings).item() == pytest.approx(1)
    assert PullingAway()(encodings).item() == pytest.approx(0.1 / 3)
    assert pulling_away(encodings.view(3, 1, 2, 1)).item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_pulling_away_from_orthogonal_to_alike(n: int) -> None:
    assert pulling_away(5 * torch.eye(n, 9)).item() == pytest.approx(0)
    signs = torch.tensor([1.0, -1.0] * n)[:n, None]
    assert pulling_away(signs * torch.arange(1.0, 6.0)).item() == pytest.approx(1)


def test_pulling_away_has_the_right_gradient() -> None:
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(pulling_away, torch.randn(4, 3, dtype=torch.float64, requires_grad=True))


def test_pulling_away_survives_zeros_and_autocast() -> None:
    encodings = torch.zeros(3, 2, requires_grad=True)
    pulling_away(encodings).backward()
    assert encodings.grad is not None
    assert encodings.grad.isfinite().all()
    torch.manual_seed(0)
    encodings = torch.randn(5, 64)
    with torch.autocast("cpu", torch.bfloat16):
        loss = pulling_away(encodings)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(pulling_away(encodings).item(), rel=1e-6)


def test_pulling_away_needs_two() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        pulling_away(torch.ones(1, 3))


def test_minibatch_discrimination_by_hand() -> None:
    layer = MinibatchDiscrimination(features=2, kernels=2, dims=2)
    with torch.no_grad():  # M₁ = (f₁, f₂), M₂ = (f₁, 0)
        layer.T.copy_(torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]]))
    f = torch.tensor([[0.0, 0.0], [1.0, 2.0], [0.0, 3.0]])
    # Distances of kernel 1: 0–1: 3, 0–2: 3, 1–2: 2; of kernel 2: 1, 0, 1.
    e = [math.exp(-k) for k in range(4)]
    expected = torch.tensor([[2 * e[3], e[1] + 1], [e[3] + e[2], 2 * e[1]], [e[3] + e[2], 1 + e[1]]])
    out = layer(f)
    assert torch.equal(out[:, :2], f)
    assert torch.allclose(out[:, 2:], expected, atol=1e-6)


def test_minibatch_discrimination_tells_a_collapsed_batch() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(8, 3, 4)
    alone, alike, varied = layer(torch.randn(1, 8)), layer(torch.ones(5, 8)), layer(100 * torch.randn(5, 8))
    assert alone[:, 8:].abs().max() == 0
    assert torch.allclose(alike[:, 8:], torch.full((5, 3), 4.0))
    assert (varied[:, 8:] < 1).all()


def test_minibatch_discrimination_learns() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(3, 2, 2).double()
    f = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, _: layer(f), (f, layer.T))


def score_of(D: Adversary) -> tuple[MinibatchDiscrimination, nn.Linear]:
    compare, linear = D.network.score  # type: ignore[misc]
    assert isinstance(compare, MinibatchDiscrimination)
    assert isinstance(linear, nn.Linear)
    return compare, linear


@pytest.mark.parametrize("network", [MLPCritic((1, 16, 16), 8, 2), DCGANCritic(1, 16, 4)])
def test_a_critics_last_layer_sees_its_features_and_their_closeness(network: MLPCritic | DCGANCritic) -> None:
    D = Adversary(network, NonSaturating(), Unconstrained(), [MinibatchScore(3, 2)])
    x, width = torch.randn(5, 1, 16, 16), network.score.in_features
    features = network.features(x)
    assert features.shape == (5, width)
    compare, linear = score_of(D)
    assert (compare.T.shape, linear.weight.shape) == ((width, 3, 2), (1, width + 3))
    with torch.no_grad():
        compare.T.zero_()  # all alike: each has N − 1 neighbours at distance 0
        linear.weight[:, width:] = 1
    expected = features @ linear.weight[0, :width] + linear.bias + 3 * 4
    assert torch.allclose(D.network(x), expected, atol=1e-5)


def test_a_critic_that_compares_sees_a_collapse_which_single_samples_hide() -> None:
    """A fake is as likely to be −1 or 1 as a real sample is, but all fakes of one batch are the same."""
    found = []
    for stabilisers in ([], [MinibatchScore(4, 2)]):
        torch.manual_seed(0)
        D = Adversary(MLPCritic((1,), 16, 2), NonSaturating(), Unconstrained(), stabilisers)
        optimiser, losses = torch.optim.Adam(D.parameters(), 1e-2), []
        for _ in range(200):
            real, fake = (2.0 * torch.randint(2, (n, 1)) - 1 for n in (32, 1))
            loss = D.critic(real, fake.expand(32, 1))["critic"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        found.append(sum(losses[-50:]) / 50)
    alone, compared = found
    assert alone > 2 * math.log(2) - 0.1
    assert compared < 0.1


def test_a_generator_learns_from_the_comparison_and_leaves_it_alone() -> None:
    torch.manual_seed(0)
    D = Adversary(MLPCritic((2,), 8, 2), NonSaturating(), Unconstrained(), [MinibatchScore(2, 2)])
    compare, linear = score_of(D)
    with torch.no_grad():
        linear.weight[:, :8] = 0  # of the score, the closeness remains
    x = torch.randn(4, 2, requires_grad=True)
    D.generator(x)["adversarial"].backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in D.parameters())
    D.critic(torch.randn(4, 2), x)["critic"].backward()
    assert compare.T.grad is not None
    assert compare.T.grad.abs().sum() > 0


def test_infogans_reader_stays_on_the_trunk() -> None:
    D = Adversary(MLPCritic((2,), 8, 2), NonSaturating(), Unconstrained(), [MinibatchScore()])
    model = InfoGAN(MLPGenerator(5, width=8), D, categories=3, continuous=1)
    assert model.read(torch.randn(4, 2)).logits.shape == (4, 3)


@pytest.mark.parametrize("constraint", [GradientPenalty(), Dragan(), ZeroCentered()])
def test_a_penalty_on_single_samples_refuses_a_critic_that_compares(constraint: Constraint) -> None:
    with pytest.raises(ValueError, match="MinibatchDiscrimination a score depends on the whole batch"):
        Adversary(MLPCritic(), NonSaturating(), constraint, [MinibatchScore()])


def test_a_critic_without_features_has_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="minibatch-discrimination: PatchGAN has no features"):
        Adversary(PatchGAN(3, 4, 1), NonSaturating(), Unconstrained(), [MinibatchScore()])
    with pytest.raises(ValueError, match="minibatch-discrimination: AutoencoderCritic has no features"):
        Adversary(AutoencoderCritic((2,)), EnergyBased(1.0), Unconstrained(), [MinibatchScore()])


@pytest.mark.parametrize("kind", [FeatureMatching, PullingAway])
@pytest.mark.parametrize("weight", [0, -1, math.nan, math.inf])
def test_refuses_a_weight_that_is_none(kind: type, weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        kind(weight)


def test_refuses_sizes_below_one() -> None:
    with pytest.raises(ValueError, match="kernels=0"):
        MinibatchDiscrimination(4, 0, 2)
    with pytest.raises(ValueError, match="not 3 and 0"):
        MinibatchScore(3, 0)


# Mutants tried, each of which fails a test: feature matching with the fake side detached, with neither, with a mean over
# features too; pulling-away normalised along the batch, without the square, with i = j, half as large, in bfloat16;
# minibatch discrimination with j = i, with squares, with a mean over dims, without a gradient; a score
# that is not wrapped, that sees the features alone, that detaches them; the comparison let through under penalties.
