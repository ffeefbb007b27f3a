"""Adversary: who gets gradients from whom, and what the constraint does."""

import pytest
import torch
from torch import Tensor, nn

from translate.gan.adversary import Adversary, join, refuse_nonsense
from translate.gan.constraints import Constraint, GradientPenalty, SpectralNorm, Unconstrained, WeightClipping, ZeroCentered
from translate.gan.networks import AutoencoderCritic, DCGANCritic, MLPCritic, PatchGAN
from translate.gan.objectives import (
    EnergyBased,
    Hinge,
    LeastSquares,
    LossSensitive,
    NonSaturating,
    Objective,
    Relativistic,
    Wasserstein,
)
from translate.gan.stabilisers import (
    FeatureMatching,
    HistoricalAveraging,
    InstanceNoise,
    LabelSmoothing,
    MinibatchDiscrimination,
    PullingAway,
    Stabiliser,
)


def make(constraint: Unconstrained | None = None) -> Adversary:
    torch.manual_seed(0)
    return Adversary(nn.Conv2d(6, 1, 3), LeastSquares(), constraint or Unconstrained())


def test_the_critics_loss_reaches_the_critic_alone() -> None:
    adversary = make()
    x, real, fake = (torch.rand(2, 3, 8, 8, requires_grad=True) for _ in range(3))
    sum(adversary.critic(real, fake, condition=x).values()).backward()  # type: ignore[union-attr]
    assert x.grad is real.grad is fake.grad is None
    assert all(parameter.grad is not None for parameter in adversary.parameters())


def test_the_generators_loss_reaches_the_fake_alone() -> None:
    adversary = make()
    x, fake = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8, requires_grad=True)
    adversary.generator(fake, condition=x)["adversarial"].backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in adversary.parameters())


def test_the_condition_matters() -> None:
    adversary = make()
    fake = torch.rand(1, 3, 8, 8)
    one, other = (adversary.generator(fake, condition=torch.full((1, 3, 8, 8), value))["adversarial"] for value in (0.0, 1.0))
    assert one.item() != pytest.approx(other.item())


def test_spectral_norm_divides_by_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    adversary = Adversary(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 1)), Hinge(), SpectralNorm())
    for _ in range(60):  # power iteration, one round per forward pass
        adversary.critic(torch.rand(4, 3, 3, 3), torch.rand(4, 3, 3, 3))
    for layer in (adversary.network[0], adversary.network[2]):  # type: ignore[index]
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)


def test_the_penalty_sees_the_sample_and_not_the_condition() -> None:
    """For a linear critic λ(‖w‖ − 1)², where w are the sample's weights alone."""
    critic = nn.Linear(5, 1, bias=False)
    nn.init.constant_(critic.weight, 2)
    adversary = Adversary(critic, Wasserstein(), GradientPenalty(weight=10))
    losses = adversary.critic(torch.rand(7, 2), torch.rand(7, 2), condition=torch.rand(7, 3))
    assert losses["penalty"].item() == pytest.approx(10 * (2 * 2**0.5 - 1) ** 2, rel=1e-5)


def test_the_penalty_knows_real_from_fake() -> None:
    """R₁ of the score ‖x‖²/2, whose gradient is x."""

    class Quadratic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.weight * x.square().sum(dim=1) / 2

    adversary = Adversary(Quadratic(), Wasserstein(), ZeroCentered(weight=2, on="real"))
    assert adversary.critic(torch.full((5, 2), 3.0), torch.zeros(5, 2))["penalty"].item() == pytest.approx(18)


def test_numbers_beside_pictures_become_planes() -> None:
    joined = join(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 1, 2, 3))
    assert joined.shape == (1, 3, 2, 3)
    assert joined[0, :, 0, 0].tolist() == [1, 2, 0]
    assert (joined[0, 1] == 2).all()


def test_weights_are_clipped_after_each_step() -> None:
    adversary = Adversary(nn.Linear(2, 1), Wasserstein(), WeightClipping(0.01))
    adversary.after_step()
    assert all(parameter.abs().max() <= 0.01 for parameter in adversary.parameters())
    assert adversary.step == 1


def test_distances_reach_the_loss_sensitive_objective() -> None:
    critic = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(critic.weight)
    adversary = Adversary(critic, LossSensitive(gamma=0), Unconstrained())
    losses = adversary.critic(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0]]))
    assert losses["critic"].item() == pytest.approx(3)  # [Δ + 0 − 0]₊ with Δ = |1| + |2|
    two = adversary.critic(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.zeros(2, 2))
    assert two["critic"].item() == pytest.approx(2)  # the mean of 3 and 1
    with pytest.raises(ValueError, match="pairs"):
        adversary.critic(torch.rand(3, 2), torch.rand(2, 2))


def test_distances_are_those_of_the_samples_without_noise() -> None:
    critic = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(critic.weight)
    adversary = Adversary(critic, LossSensitive(gamma=0), Unconstrained(), [InstanceNoise(1.0, steps=5)])
    assert adversary.critic(torch.ones(4, 2), torch.zeros(4, 2))["critic"].item() == pytest.approx(2)


def test_pairs_are_compared_and_no_gradient_reaches_the_real_one() -> None:
    torch.manual_seed(0)
    adversary = Adversary(nn.Linear(2, 1), Relativistic(), Unconstrained())
    real, fake = torch.rand(4, 2, requires_grad=True), torch.rand(4, 2, requires_grad=True)
    loss = adversary.generator(fake, real=real)["adversarial"]
    loss.backward()
    score = adversary.network
    assert loss.item() == pytest.approx(Relativistic().generator(score(fake), score(real)).item())
    assert real.grad is None
    assert fake.grad is not None
    with pytest.raises(ValueError, match="compares with real samples"):
        adversary.generator(fake)


def test_scores_keep_their_digits_under_autocast() -> None:
    adversary = Adversary(nn.Linear(2, 1), LeastSquares(), Unconstrained())
    x = torch.rand(4, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert adversary.network(x).dtype == torch.bfloat16
        for loss in (adversary.critic(x, x)["critic"], adversary.generator(x)["adversarial"], adversary.fooled(x, x)):
            assert loss.dtype == torch.float32


def test_fooled_exchanges_the_sides_and_freezes_the_critic() -> None:
    adversary = Adversary(nn.Linear(1, 1), NonSaturating(), Unconstrained())
    real, fake = torch.rand(4, 1, requires_grad=True), torch.rand(4, 1, requires_grad=True)
    loss = adversary.fooled(real, fake)
    loss.backward()
    assert loss.item() == pytest.approx(NonSaturating().critic(adversary.network(fake), adversary.network(real)).item())
    assert real.grad is not None
    assert fake.grad is not None
    assert all(parameter.grad is None and parameter.requires_grad for parameter in adversary.parameters())


def test_a_penalty_is_taken_where_the_noise_is() -> None:
    """D(x) = ‖x‖²/2, whose slope at x is ‖x‖: R₁ at 0 with noise σ in two dimensions is γ/2 · 2σ²."""

    class Bowl(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.square().sum(dim=1) / 2

    torch.manual_seed(0)
    adversary = Adversary(Bowl(), NonSaturating(), ZeroCentered(weight=3), [InstanceNoise(0.5, 10**9, "constant")])
    x = torch.zeros(20_000, 2)
    assert adversary.critic(x, x)["penalty"].item() == pytest.approx(3 / 2 * 2 * 0.25, rel=0.03)


def test_noise_fades_with_the_critics_steps() -> None:
    adversary = Adversary(nn.Linear(2, 1), NonSaturating(), Unconstrained(), [InstanceNoise(1.0, steps=1)])
    x = torch.zeros(4, 2)
    noisy = adversary.generator(x)["adversarial"]
    adversary.after_step()
    quiet = adversary.generator(x)["adversarial"]
    assert quiet.item() == pytest.approx(NonSaturating().generator(adversary.network(x)).item())
    assert noisy.item() != pytest.approx(quiet.item())


def test_noise_is_on_every_side_of_every_loss() -> None:
    """A linear critic's scores of points at 0 have the noise's deviation, ‖w‖ σ."""
    critic = nn.Linear(2, 1, bias=False)
    nn.init.constant_(critic.weight, 1)
    noise = InstanceNoise(1.0, steps=5)
    seen: list[tuple[float, ...]] = []

    class Watching(Relativistic):
        def critic(self, real: Tensor, fake: Tensor, distance: Tensor | None = None) -> Tensor:
            seen.append((real.std().item(), fake.std().item()))
            return super().critic(real, fake)

    torch.manual_seed(0)
    adversary, x = Adversary(critic, Watching(), Unconstrained(), [noise]), torch.zeros(4000, 2)
    adversary.critic(x, x)
    adversary.generator(x, real=x)
    adversary.fooled(x, x)
    assert seen == [(pytest.approx(2**0.5, rel=0.1), pytest.approx(2**0.5, rel=0.1))] * 3


def test_smoothed_labels_change_the_critics_loss_alone() -> None:
    torch.manual_seed(0)
    critic, x = nn.Linear(2, 1), torch.rand(4, 2)
    plain = Adversary(critic, NonSaturating(), Unconstrained())
    smooth = Adversary(critic, NonSaturating(), Unconstrained(), [LabelSmoothing(0.2)])
    assert smooth.critic(x, -x)["critic"].item() != pytest.approx(plain.critic(x, -x)["critic"].item())
    assert smooth.generator(x)["adversarial"].item() == pytest.approx(plain.generator(x)["adversarial"].item())


def test_terms_of_the_generator_are_its_own() -> None:
    matching = Adversary(MLPCritic((2,), 8, 2), NonSaturating(), Unconstrained(), [FeatureMatching(2.0)])
    real, fake = torch.rand(4, 2), torch.rand(4, 2)
    apart = matching.network.features(real).mean(0) - matching.network.features(fake).mean(0)  # type: ignore[operator]
    terms = matching.generator(fake, real=real)
    assert terms["features"].item() == pytest.approx(2 * apart.square().sum().item(), rel=1e-4)
    with pytest.raises(ValueError, match="real samples"):
        matching.generator(fake)
    pulling = Adversary(AutoencoderCritic((2,), 8, 2), EnergyBased(1.0), Unconstrained(), [PullingAway(0.1)])
    terms = pulling.generator(fake)
    assert set(terms) == {"adversarial", "pulling_away"}
    codes = pulling.network.encode(fake)  # type: ignore[operator]
    assert terms["pulling_away"].item() == pytest.approx(PullingAway(0.1)(codes).item())


def test_features_are_compared_under_the_condition_and_move_the_fake() -> None:
    torch.manual_seed(0)
    adversary = Adversary(MLPCritic((5,), 8, 2), NonSaturating(), Unconstrained(), [FeatureMatching()])
    y, real, fake = torch.rand(4, 3), torch.rand(4, 2), torch.rand(4, 2, requires_grad=True)
    loss = adversary.generator(fake, condition=y, real=real)["features"]
    loss.backward()
    features = adversary.network.features
    apart = (features(join(y, real)) - features(join(y, fake))).mean(dim=0)  # type: ignore[operator]
    assert loss.item() == pytest.approx(apart.square().sum().item(), rel=1e-4)
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0


def test_history_holds_the_critic_back() -> None:
    adversary = Adversary(nn.Linear(2, 1), NonSaturating(), Unconstrained(), [HistoricalAveraging(1.0)])
    adversary.after_step()
    with torch.no_grad():
        adversary.network.weight.add_(1)  # type: ignore[operator]
    losses = adversary.critic(torch.rand(4, 2), torch.rand(4, 2))
    assert losses["history"].item() == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize(
    ("critic", "objective", "constraint", "stabilisers", "reason"),
    [
        (MLPCritic(), EnergyBased(1.0), Unconstrained(), [], "autoencoder"),
        (AutoencoderCritic((2,)), Hinge(), Unconstrained(), [], "energies"),
        (MLPCritic(sigmoid=True), Wasserstein(), WeightClipping(), [], "sigmoid"),
        (MLPCritic(sigmoid=True), NonSaturating(), Unconstrained(), [], "sigmoid"),
        (MLPCritic(), Wasserstein(), Unconstrained(), [], "Lipschitz"),
        (DCGANCritic(norm="batch"), Wasserstein(), GradientPenalty(), [], "BatchNorm"),
        (nn.Sequential(MinibatchDiscrimination(2, 2, 2), nn.Linear(4, 1)), Hinge(), GradientPenalty(), [], "whole batch"),
        (MLPCritic(), LossSensitive(), Unconstrained(), [], "gamma = 0"),
        (MLPCritic(), Hinge(), Unconstrained(), [LabelSmoothing()], "labels"),
        (PatchGAN(), Hinge(), Unconstrained(), [FeatureMatching()], "features"),
        (MLPCritic(), Hinge(), Unconstrained(), [PullingAway()], "autoencoder"),
        (MLPCritic(), Hinge(), Unconstrained(), [InstanceNoise(1, 2), InstanceNoise(1, 2)], "once"),
    ],
)
def test_nonsense_is_refused_with_the_reason(
    critic: nn.Module, objective: Objective, constraint: Constraint, stabilisers: list[Stabiliser], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        refuse_nonsense(critic, objective, constraint, stabilisers)


@pytest.mark.parametrize(
    ("critic", "objective", "constraint"),
    [
        (MLPCritic(sigmoid=True), LeastSquares(), Unconstrained()),
        (DCGANCritic(norm="layer"), Wasserstein(), GradientPenalty()),
        (DCGANCritic(norm="batch"), Wasserstein(), WeightClipping()),
        (AutoencoderCritic((2,)), LossSensitive(), Unconstrained()),
        (MLPCritic(), Relativistic(), SpectralNorm()),
    ],
)
def test_what_makes_sense_is_let_through(critic: nn.Module, objective: Objective, constraint: Constraint) -> None:
    refuse_nonsense(critic, objective, constraint, [])


# Mutants tried, each fails a test above:
# critic: fake, real or condition not detached; distances taken of noisy samples; no noise on real, on fake; sides exchanged;
# condition dropped; no smoothing; distance not passed on; penalty with sides exchanged, detached, times 0, its sign, of the
# network without its condition; history neither charged nor updated.
# generator: fake without noise, or detached; real not detached, or without noise; pairs unchecked; the fake's own score, or
# none, as the opposite; sign; the critic's loss; features without the condition (of either side), detached, times 0;
# pulling away: sign, of reconstructions in place of codes; the critic not frozen, not thawed.
# fooled: sides as they are; no noise on either; real detached; the critic not frozen. after_step: no constraint, no step.
# Scores left in bfloat16; condition behind the sample; noise that never fades; critic not wrapped; distances over the whole
# batch, as a mean, in L2. refuse_nonsense: each of its conditions never, or whenever its first half holds.
