"""The generative systems: who gets gradients from what, and that each term is its paper's."""

import math
from collections import namedtuple
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from translate.gan.adversary import Adversary
from translate.gan.constraints import Unconstrained
from translate.gan.networks import AutoencoderCritic, MLPCritic, MLPEncoder, MLPGenerator
from translate.gan.objectives import EnergyBased, LossSensitive, NonSaturating, Objective, Relativistic
from translate.gan.stabilisers import FeatureMatching, PullingAway, Stabiliser
from translate.models.bigan import BiGAN
from translate.models.class_cgan import ClassCGAN
from translate.models.dcgan import DCGAN
from translate.models.infogan import InfoGAN, Out
from translate.models.vaegan import VAEGAN, divergence

Batch = namedtuple("Batch", "x y")


def adversary(inputs: int = 2) -> Adversary:
    return Adversary(MLPCritic((inputs,), 16, 2), NonSaturating(), Unconstrained())


def batch(n: int = 12) -> Batch:
    return Batch(torch.randn(n, 2), torch.arange(n) % 3)


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


def pairs(objective: Objective, *stabilisers: Stabiliser) -> Adversary:
    critic = AutoencoderCritic((4,)) if objective.energy else MLPCritic((4,), 16, 2)
    return Adversary(critic, objective, Unconstrained(), stabilisers)


def given_to(network: nn.Module) -> list[Tensor]:
    """What the network will be called with."""
    seen: list[Tensor] = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    return seen


SYSTEMS: dict[str, Callable[[], nn.Module]] = {
    "dcgan": lambda: DCGAN(MLPGenerator(2, width=16), adversary()),
    "class-cgan": lambda: ClassCGAN(MLPGenerator(2 + 3, width=16), adversary(2 + 3), classes=3),
    "infogan": lambda: InfoGAN(MLPGenerator(2 + 3 + 1, width=16), adversary(), categories=3, continuous=1),
    "vaegan": lambda: VAEGAN(MLPGenerator(2, width=16), MLPEncoder(4, width=16), adversary()),
    "bigan": lambda: BiGAN(MLPGenerator(2, width=16), MLPEncoder(2, width=16), adversary(4)),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_player_moves_all_of_its_weights_and_each_weight_has_one_player(name: str) -> None:
    torch.manual_seed(0)
    model, data = SYSTEMS[name](), batch()
    players: dict[str, nn.Module] = model.players  # type: ignore[assignment]
    owned = [parameter for module in players.values() for parameter in module.parameters()]
    assert len(owned) == len({id(p) for p in owned}) == len(list(model.parameters()))
    out = model(data)
    for player, module in players.items():
        model.zero_grad()
        total(model.losses(player, data, out)).backward()  # type: ignore[operator]
        for parameter_name, parameter in module.named_parameters():
            assert parameter.grad is not None, (player, parameter_name)
            assert parameter.grad.abs().sum() > 0, (player, parameter_name)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_critic_moves_first(name: str) -> None:
    assert next(iter(SYSTEMS[name]().players)) == "critic"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SYSTEMS)
def test_noise_is_normal(name: str) -> None:
    torch.manual_seed(0)
    z = SYSTEMS[name]().latent(4000)[:, :2]  # type: ignore[operator]
    assert z.mean(dim=0).tolist() == pytest.approx([0, 0], abs=0.06)
    assert z.std(dim=0).tolist() == pytest.approx([1, 1], abs=0.06)
    assert z.abs().amax() > 2.5


@pytest.mark.parametrize("name", ["dcgan", "class-cgan", "infogan", "vaegan"])
def test_adversarial_terms_are_the_objectives_own(name: str) -> None:
    """Which samples count as real, which as fake, and beside which condition."""
    torch.manual_seed(0)
    model, data = SYSTEMS[name](), batch()
    out = model(data)
    D: nn.Module = model.D.network  # type: ignore[assignment,union-attr]
    if name == "vaegan":
        real, fake = torch.cat([data.x, data.x]), model.G(torch.cat([out.z, out.prior]))  # type: ignore[operator]
    else:
        real, fake = data.x, out.fake
    if name == "class-cgan":
        y = one_hot(data.y, 3).float()
        real, fake = torch.cat([y, real], dim=1), torch.cat([y, fake], dim=1)
    objective = NonSaturating()
    found = [model.losses(player, data, out) for player in ("critic", "generator")]  # type: ignore[operator]
    assert found[0]["critic"].item() == pytest.approx(objective.critic(D(real), D(fake)).item(), rel=1e-5)
    assert found[1]["adversarial"].item() == pytest.approx(objective.generator(D(fake)).item(), rel=1e-5)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_critics_loss_leaves_the_others_alone(name: str) -> None:
    torch.manual_seed(0)
    model, data = SYSTEMS[name](), batch()
    players: dict[str, nn.Module] = model.players  # type: ignore[assignment]
    total(model.losses("critic", data, model(data))).backward()  # type: ignore[operator]
    for player, module in players.items():
        if player != "critic":
            assert all(p.grad is None or not p.grad.abs().sum() for p in module.parameters()), player


def test_the_class_reaches_generator_and_critic() -> None:
    model = SYSTEMS["class-cgan"]()
    z = model.latent(6, torch.arange(6) % 3)  # type: ignore[operator]
    assert z[:, 2:].argmax(dim=1).tolist() == [0, 1, 2, 0, 1, 2]
    data = batch()
    other = Batch(data.x, (data.y + 1) % 3)
    torch.manual_seed(0)
    one = model.losses("critic", data, model(data))["critic"]  # type: ignore[operator]
    torch.manual_seed(0)
    assert one.item() != pytest.approx(model.losses("critic", other, model(other))["critic"].item())  # type: ignore[operator]


def test_the_fake_is_of_the_class_that_it_is_shown_with() -> None:
    torch.manual_seed(0)
    model, data = SYSTEMS["class-cgan"](), batch()
    inputs = given_to(model.G)  # type: ignore[arg-type]
    out = model(data)
    assert inputs[0][:, 2:].equal(out.y)
    assert out.y.argmax(dim=1).equal(data.y)
    drawn = model.latent(300)[:, 2:]  # type: ignore[operator]
    assert drawn.sum(dim=1).eq(1).all()
    assert (drawn.mean(dim=0) - 1 / 3).abs().amax() < 0.1


def test_the_codes_that_infogan_reads_back_are_those_that_it_wrote() -> None:
    torch.manual_seed(0)
    model = InfoGAN(MLPGenerator(2 + 3 + 2, width=16), adversary(), categories=3, continuous=2)
    inputs = given_to(model.G)
    out = model(batch(600))
    assert inputs[0][:, 2:5].argmax(dim=1).equal(out.category)
    assert inputs[0][:, 5:].equal(out.continuous)
    assert (out.category.bincount() / 600 - 1 / 3).abs().amax() < 0.1
    assert out.continuous.amin(dim=0).tolist() == pytest.approx([-1, -1], abs=0.05)
    assert out.continuous.amax(dim=0).tolist() == pytest.approx([1, 1], abs=0.05)


def test_infogan_reads_codes_in_nats() -> None:
    model = InfoGAN(MLPGenerator(2 + 3 + 2, width=16), adversary(), categories=3, continuous=2)
    for parameter in model.Q.parameters():
        nn.init.zeros_(parameter)
    continuous = torch.tensor([[1.0, 0.0], [0.5, 0.0], [-1.0, 1.0], [0.0, 0.0]])
    out = Out(torch.randn(4, 2), torch.tensor([0, 1, 2, 0]), continuous)
    surprise = model.surprise(out.fake, out)
    assert surprise.item() == pytest.approx(math.log(3) + (1 + 0.25 + 1 + 1) / 4 / 2, rel=1e-5)


def test_infogans_information_term_is_weighed_and_lowered_by_both() -> None:
    torch.manual_seed(0)
    model, data = SYSTEMS["infogan"](), batch()
    model.weight = 0.5  # type: ignore[assignment]
    out = model(data)
    expected = model.surprise(out.fake, out).item() / 2  # type: ignore[operator]
    for player in ("critic", "generator"):
        assert model.losses(player, data, out)["information"].item() == pytest.approx(expected)  # type: ignore[operator]


def test_infogans_information_term_reaches_the_generator() -> None:
    torch.manual_seed(0)
    model, data = SYSTEMS["infogan"](), batch()
    out = model(data)
    model.losses("generator", data, out)["information"].backward()  # type: ignore[operator]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.G.parameters())  # type: ignore[union-attr]


def test_vaegans_encoder_sees_no_adversarial_term() -> None:
    model, data = SYSTEMS["vaegan"](), batch()
    assert set(model.losses("encoder", data, model(data))) == {"prior", "likeness"}  # type: ignore[operator]
    total(model.losses("generator", data, model(data))).backward()  # type: ignore[operator]
    assert all(p.grad is None for p in model.E.parameters())  # type: ignore[union-attr]


def test_vaegan_draws_from_its_encoders_gaussian() -> None:
    torch.manual_seed(0)
    model = SYSTEMS["vaegan"]()
    last: nn.Linear = model.E.body[-1]  # type: ignore[assignment,union-attr,index]
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([1.0, -1.0, 2 * math.log(3), 0.0])
    z = model(batch(4000)).z
    assert z.mean(dim=0).tolist() == pytest.approx([1, -1], abs=0.15)
    assert z.std(dim=0).tolist() == pytest.approx([3, 1], rel=0.06)
    assert model.encode(torch.zeros(1, 2)).tolist() == [[1, -1]]  # type: ignore[operator]


def test_vaegans_likeness_compares_a_sample_with_its_own_reconstruction() -> None:
    torch.manual_seed(0)
    model = VAEGAN(MLPGenerator(2, width=16), MLPEncoder(4, width=16), adversary(), gamma=0.25, prior=0.5)
    data = batch()
    out = model(data)
    features = model.D.network.features
    apart = features(data.x) - features(model.G(out.z))  # type: ignore[operator]
    likeness = apart.square().sum().item() / 2 / len(data.x)
    encoder, generator = (model.losses(player, data, out) for player in ("encoder", "generator"))
    assert encoder["likeness"].item() == pytest.approx(likeness, rel=1e-4)
    assert generator["likeness"].item() == pytest.approx(likeness / 4, rel=1e-4)
    assert encoder["prior"].item() == pytest.approx(divergence(out.mean, out.log_variance).item() / 2, rel=1e-4)
    encoder["likeness"].backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.E.parameters())


def test_vaegans_prior_term_is_the_divergence_of_gaussians() -> None:
    mean, deviation = torch.tensor([[2.0, -1.0]]), torch.tensor([[3.0, 0.5]])
    one = torch.distributions.Normal(mean, deviation)
    expected = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).sum()
    assert divergence(mean, 2 * deviation.log()).item() == pytest.approx(expected.item(), rel=1e-5)


def test_vaegans_prior_term_keeps_its_digits_in_bfloat16() -> None:
    torch.manual_seed(0)
    mean, log_variance = 0.05 * torch.randn(64, 16), 0.05 * torch.randn(64, 16)
    rounded = mean.bfloat16(), log_variance.bfloat16()
    assert divergence(*rounded).item() == pytest.approx(divergence(*(value.float() for value in rounded)).item(), rel=1e-6)


def test_bigans_two_sides_are_exchanged_for_the_other_player() -> None:
    torch.manual_seed(0)
    model, data = SYSTEMS["bigan"](), batch()
    out = model(data)
    critic: nn.Module = model.D.network  # type: ignore[assignment,union-attr]
    expected = NonSaturating().critic(critic(out.fake), critic(out.real))
    assert model.losses("generator", data, out)["adversarial"].item() == pytest.approx(expected.item())  # type: ignore[operator]
    assert out.real.equal(torch.cat([model.E(data.x), data.x], dim=1))  # type: ignore[operator]
    z, fake = out.fake.chunk(2, dim=1)
    assert fake.equal(model.G(z))  # type: ignore[operator]
    real = NonSaturating().critic(critic(out.real), critic(out.fake))
    assert model.losses("critic", data, out)["critic"].item() == pytest.approx(real.item())  # type: ignore[operator]


def test_a_generator_waits_while_its_critic_is_trained_in_advance() -> None:
    critic = Adversary(AutoencoderCritic((2,), 16, 1), EnergyBased(1.0), Unconstrained())
    model, data = DCGAN(MLPGenerator(2, width=16), critic, pretrain=2), batch()
    for step in range(4):
        out = model(data)
        waits = step < 2
        assert (not model.losses("generator", data, out)) == waits
        losses = model.losses("critic", data, out)
        assert set(losses) == ({"energy"} if waits else {"critic"})
        if waits:
            assert losses["energy"].item() == pytest.approx(critic.network(data.x).mean().item())


def test_real_samples_reach_objectives_that_compare() -> None:
    model = DCGAN(MLPGenerator(2, width=16), Adversary(MLPCritic((2,), 16, 2), Relativistic(), Unconstrained()))
    data = batch()
    out, D = model(data), model.D.network
    expected = Relativistic().generator(D(out.fake), D(data.x))
    assert model.losses("generator", data, out)["adversarial"].item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DCGAN(MLPCritic(), adversary()), "starts|start from noise"),
        (lambda: DCGAN(MLPGenerator(), adversary(), pretrain=5), "autoencoder"),
        (lambda: ClassCGAN(MLPGenerator(3), adversary(), classes=3), "latent"),
        (lambda: InfoGAN(MLPGenerator(3), adversary(), categories=10), "latent"),
        (
            lambda: InfoGAN(MLPGenerator(30), Adversary(AutoencoderCritic((2,)), EnergyBased(1.0), Unconstrained())),
            "features",
        ),
        (lambda: BiGAN(MLPCritic(), MLPEncoder(), adversary()), "code"),
        (lambda: BiGAN(MLPGenerator(), MLPEncoder(), pairs(LossSensitive(gamma=0))), "judged together"),
        (lambda: BiGAN(MLPGenerator(), MLPEncoder(), pairs(NonSaturating(), FeatureMatching())), "judged together"),
        (lambda: BiGAN(MLPGenerator(), MLPEncoder(), pairs(EnergyBased(1.0), PullingAway())), "judged together"),
        (lambda: VAEGAN(MLPCritic(), MLPEncoder(), adversary()), "code"),
        (
            lambda: VAEGAN(MLPGenerator(), MLPEncoder(4), Adversary(AutoencoderCritic((2,)), EnergyBased(1.0), Unconstrained())),
            "features",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_latents_have_the_codes_that_are_asked_for() -> None:
    model = SYSTEMS["infogan"]()
    z: Tensor = model.latent(5, torch.tensor([0, 1, 2, 0, 1]), torch.linspace(-1, 1, 5)[:, None])  # type: ignore[operator]
    assert z[:, 2:5].argmax(dim=1).tolist() == [0, 1, 2, 0, 1]
    assert z[:, 5].tolist() == torch.linspace(-1, 1, 5).tolist()


# Mutants tried, each fails a test above:
# All: noise uniform in place of normal; the critic not first; real and fake exchanged for the critic.
# dcgan: pre-training one step short, on fakes, its sign, the generator not waiting; fakes as the real of a pair; the generator
# judged by real samples.
# class-cgan: fakes of other classes than they are shown with; one-hot vectors of other samples, or empty; classes asked for
# ignored; one class only; critic or generator without the condition.
# infogan: codes read back are not those written (all, or the continuous ones); codes in 0..1; one category never drawn; the
# information term left out, its sign, its weight 0 or 1, detached for G, not detached for D; Q detached from its trunk, or
# moved by G; a mean over the codes; no ½; categories left out; sign between both kinds of codes.
# vaegan: σ² in place of σ; no noise; variances for means; prior unweighed, its sign; reconstruction of another z, of a detached
# one, its sign, in pixels, a mean over features; γ left out, its sign; z not detached for the decoder; reconstructions or
# samples missing for the critic; samples in place of reconstructions; the decoder without its adversarial term, or for
# reconstructions alone; KL: the sign of either term of σ, μ in place of μ², a mean over the code.
# bigan: pairs joined the other way round on either side; another z; G or E detached; E without a player; sides not exchanged
# for G and E; the generator's loss as −critic's. Each refusal left out.
