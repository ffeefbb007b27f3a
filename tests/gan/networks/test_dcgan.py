"""DCGAN: the paper's sizes and rules, and what follows from the two ways of upsampling."""

import pytest
import torch
from torch import Tensor, nn

from translate.gan.adversary import join
from translate.gan.networks import DCGANCritic, DCGANGenerator

NORMED = (nn.BatchNorm2d, nn.GroupNorm)


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64, 128])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_every_size(size: int, upsample: str) -> None:
    generator, critic = DCGANGenerator(5, 3, size, 2, upsample=upsample), DCGANCritic(3, size, 2)
    x = generator(torch.randn(2, 5))
    assert x.shape == (2, 3, size, size)
    assert critic(x).shape == (2,)
    assert critic.features(x).shape == (2, critic.score.in_features)


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
def test_every_norm(norm: str) -> None:
    generator, critic = DCGANGenerator(5, 1, 16, 4, norm), DCGANCritic(1, 16, 4, norm)
    assert critic(generator(torch.randn(2, 5))).shape == (2,)
    assert len([m for m in generator.modules() if isinstance(m, NORMED)]) == (2 if norm != "none" else 0)
    assert len([m for m in critic.modules() if isinstance(m, NORMED)]) == (1 if norm != "none" else 0)


def test_the_papers_generator_has_1024_512_256_128_channels_and_no_norm_on_its_output() -> None:
    with torch.device("meta"):
        generator = DCGANGenerator(100, 3, 64, 128)
    convolutions = [layer for layer in generator.body if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in convolutions] == [512, 256, 128, 3]
    assert isinstance(generator.body[0], nn.Linear)
    assert generator.body[0].out_features == 1024 * 4 * 4
    assert [type(layer) for layer in generator.body[-2:]] == [nn.ConvTranspose2d, nn.Tanh]
    kernels = 16 * (100 * 1024 + 1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    assert sum(p.numel() for p in generator.parameters()) == kernels + 2 * (1024 + 512 + 256 + 128) + 3


def test_the_critic_has_no_norm_on_its_input_no_hidden_linear_layer_and_leaks() -> None:
    with torch.device("meta"):
        critic = DCGANCritic(3, 64, 64)
    assert [type(layer) for layer in critic.body[:3]] == [nn.Conv2d, nn.LeakyReLU, nn.Conv2d]
    assert all(layer.negative_slope == 0.2 for layer in critic.body if isinstance(layer, nn.LeakyReLU))
    assert [m for m in critic.modules() if isinstance(m, nn.Linear)] == [critic.score]
    kernels = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    assert sum(p.numel() for p in critic.parameters()) == kernels + 64 + 2 * (128 + 256 + 512) + 512 * 16 + 1


def test_infogans_networks_counted_by_hand() -> None:
    with torch.device("meta"):
        generator, critic = DCGANGenerator(74, 1, 28, 64, hidden=1024), DCGANCritic(1, 28, 64, hidden=1024)
    shared = 16 * (128 * 64 + 64 * 1)  # the two convolutions at 7 and 14 pixels, the same in both
    assert sum(p.numel() for p in generator.parameters()) == (74 * 1024 + 1024 * 128 * 49 + shared + 2 * (1024 + 128 + 64) + 1)
    assert sum(p.numel() for p in critic.parameters()) == (shared + 128 * 49 * 1024 + 64 + 2 * (128 + 1024) + 1024 + 1)
    assert critic.score.in_features == 1024


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_hidden_units_are_fully_connected(norm: str) -> None:
    torch.manual_seed(0)
    generator, critic = DCGANGenerator(5, 1, 16, 2, norm, hidden=6).eval(), DCGANCritic(1, 16, 2, norm, hidden=6).eval()
    assert critic.features(generator(torch.randn(3, 5))).shape == (3, 6)
    connected = [layer for layers in (generator.body, critic.hidden) for layer in layers if isinstance(layer, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in connected] == [(6, 5), (4 * 16, 6), (6, 4 * 16)]


def test_codes_meet_the_features_behind_the_convolutions() -> None:
    torch.manual_seed(0)
    critic = DCGANCritic(1 + 7, 16, 2, "none", hidden=6, codes=7)
    assert critic.body[0].in_channels == 1
    code, x = torch.randn(3, 7), torch.randn(3, 1, 16, 16)
    by_hand = critic.hidden(torch.cat([critic.body(x).flatten(1), code], dim=1))
    assert torch.equal(critic.features(join(code, x)), by_hand)
    assert not torch.allclose(critic.features(join(-code, x)), by_hand)


@pytest.mark.parametrize(("channels", "hidden", "codes"), [(8, 0, 7), (7, 6, 7), (8, 6, -1)])
def test_codes_need_a_hidden_layer_and_a_picture(channels: int, hidden: int, codes: int) -> None:
    with pytest.raises(ValueError, match="hidden layer and more channels"):
        DCGANCritic(channels, 16, 2, hidden=hidden, codes=codes)


@pytest.mark.parametrize("network", [DCGANGenerator, DCGANCritic])
def test_hidden_units_have_no_places_to_normalise_over(network: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="one place"):
        network(norm="instance", hidden=6)


def test_weights_start_small() -> None:
    torch.manual_seed(0)
    for network in (DCGANGenerator(width=16), DCGANCritic(width=16)):
        spread = torch.cat([p.flatten() for p in network.parameters() if p.dim() == 4]).std().item()
        assert spread == pytest.approx(0.02, rel=0.05)


def test_the_score_is_linear_in_the_features_and_a_sigmoid_comes_only_when_asked_for() -> None:
    torch.manual_seed(0)
    critic, x = DCGANCritic(width=4, norm="none"), torch.randn(3, 1, 16, 16)
    assert torch.equal(critic(x), critic.score(critic.features(x))[:, 0])
    squashed = DCGANCritic(width=4, norm="none", sigmoid=True)
    squashed.load_state_dict(critic.state_dict())
    torch.testing.assert_close(squashed(x), critic(x).sigmoid())
    assert (critic.sigmoid, squashed.sigmoid, critic.energy) == (False, True, False)


class Closeness(nn.Module):
    """A stand-in for minibatch discrimination: how far a sample is from the others."""

    def forward(self, f: Tensor) -> Tensor:
        return torch.cat([f, (f[:, None] - f).abs().mean((1, 2))[:, None]], 1)


def test_the_read_out_can_be_given_more_to_read() -> None:
    critic = DCGANCritic(width=2)
    critic.score = nn.Sequential(Closeness(), nn.Linear(critic.score.in_features + 1, 1))  # type: ignore[assignment]
    assert critic(torch.randn(4, 1, 16, 16)).shape == (4,)


@pytest.mark.parametrize(("upsample", "even"), [("transposed", False), ("resize", True)])
def test_without_norm_only_resizing_turns_a_flat_start_into_a_flat_picture(upsample: str, even: bool) -> None:
    torch.manual_seed(0)
    generator = DCGANGenerator(3, 1, 32, 4, "none", upsample)
    for p in generator.parameters():
        p.data.mul_(10)
    start = generator.body[0].weight.data  # type: ignore[union-attr]
    places = start.unflatten(0, (-1, 16))
    places.copy_(places.mean(1, keepdim=True).expand_as(places))  # z is the same at all 4×4 places
    x = generator(torch.randn(1, 3))[0, 0]
    assert x.abs().max() > 0
    assert ((x - x[0, 0]).abs().max() <= 1e-5 * x.abs().max()) == even


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"z has to be \[N, 100\], not \[2, 99\]"):
        DCGANGenerator(width=2)(torch.randn(2, 99))
    with pytest.raises(ValueError, match=r"z has to be \[N, 100\]"):
        DCGANGenerator(width=2)(torch.randn(2, 100, 1, 1))
    with pytest.raises(ValueError, match=r"x has to be \[N, 1, 16, 16\]"):
        DCGANCritic(width=2)(torch.randn(2, 1, 32, 32))
    with pytest.raises(ValueError, match="pad"):
        DCGANGenerator(size=30)
    with pytest.raises(ValueError, match="latent"):
        DCGANGenerator(latent=0)
    with pytest.raises(ValueError, match="norm"):
        DCGANCritic(size=8, norm="spectral")
    with pytest.raises(ValueError, match="upsample"):
        DCGANGenerator(size=8, upsample="bilinear")


# Mutants tried: a norm on the generator's output; a norm behind the critic's first layer; torch's own initialisation;
#   sigmoid always.
