"""The generative systems: who gets gradients from what, and that each term is its paper's."""

import math
from collections import namedtuple
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from translate.gan.adversary import Adversary
from translate.gan.constraints import Unconstrained
from translate.gan.networks import AutoencoderCritic, MLPCritic, MLPEncoder, MLPGenerator
from translate.gan.objectives import EnergyBased, NonSaturating, Relativistic
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
        sum(model.losses(player, data, out).values()).backward()  # type: ignore[operator]
        for parameter_name, parameter in module.named_parameters():
            assert parameter.grad is not None, (player, parameter_name)
            assert parameter.grad.abs().sum() > 0, (player, parameter_name)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_critics_loss_leaves_the_others_alone(name: str) -> None:
    torch.manual_seed(0)
    model, data = SYSTEMS[name](), batch()
    players: dict[str, nn.Module] = model.players  # type: ignore[assignment]
    sum(model.losses("critic", data, model(data)).values()).backward()  # type: ignore[operator]
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


def test_infogan_reads_codes_in_nats() -> None:
    model = SYSTEMS["infogan"]()
    for parameter in model.Q.parameters():  # type: ignore[union-attr]
        nn.init.zeros_(parameter)
    out = Out(torch.randn(4, 2), torch.tensor([0, 1, 2, 0]), torch.tensor([[1.0], [0.5], [-1.0], [0.0]]))
    surprise = model.surprise(out.fake, out)  # type: ignore[operator]
    assert surprise.item() == pytest.approx(math.log(3) + (1 + 0.25 + 1 + 0) / 4 / 2, rel=1e-5)


def test_infogans_information_term_reaches_the_generator() -> None:
    torch.manual_seed(0)
    model, data = SYSTEMS["infogan"](), batch()
    out = model(data)
    model.losses("generator", data, out)["information"].backward()  # type: ignore[operator]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.G.parameters())  # type: ignore[union-attr]


def test_vaegans_encoder_sees_no_adversarial_term() -> None:
    model, data = SYSTEMS["vaegan"](), batch()
    assert set(model.losses("encoder", data, model(data))) == {"prior", "likeness"}  # type: ignore[operator]
    sum(model.losses("generator", data, model(data)).values()).backward()  # type: ignore[operator]
    assert all(p.grad is None for p in model.E.parameters())  # type: ignore[union-attr]


def test_vaegans_prior_term_is_the_divergence_of_gaussians() -> None:
    mean, deviation = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.5]])
    one = torch.distributions.Normal(mean, deviation)
    expected = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).sum()
    assert divergence(mean, 2 * deviation.log()).item() == pytest.approx(expected.item(), rel=1e-5)


def test_bigans_two_sides_are_exchanged_for_the_other_player() -> None:
    torch.manual_seed(0)
    model, data = SYSTEMS["bigan"](), batch()
    out = model(data)
    critic: nn.Module = model.D.network  # type: ignore[assignment,union-attr]
    expected = NonSaturating().critic(critic(out.fake), critic(out.real))
    assert model.losses("generator", data, out)["adversarial"].item() == pytest.approx(expected.item())  # type: ignore[operator]
    assert out.real[:, 2:].equal(data.x)


def test_a_generator_waits_while_its_critic_is_trained_in_advance() -> None:
    critic = Adversary(AutoencoderCritic((2,), 16, 1), EnergyBased(1.0), Unconstrained())
    model, data = DCGAN(MLPGenerator(2, width=16), critic, pretrain=2), batch()
    for step in range(4):
        out = model(data)
        waits = step < 2
        assert (not model.losses("generator", data, out)) == waits
        assert set(model.losses("critic", data, out)) == ({"energy"} if waits else {"critic"})


def test_real_samples_reach_objectives_that_compare() -> None:
    model = DCGAN(MLPGenerator(2, width=16), Adversary(MLPCritic((2,), 16, 2), Relativistic(), Unconstrained()))
    data = batch()
    assert model.losses("generator", data, model(data))["adversarial"].item() > 0


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
        (lambda: VAEGAN(MLPCritic(), MLPEncoder(), adversary()), "code"),
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
