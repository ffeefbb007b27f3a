"""Autoencoder critic: its energy is the mean square error of each sample by itself."""

import pytest
import torch
from torch import nn

from translate.gan.networks import AutoencoderCritic

SHAPES = [(2,), (1, 8, 8), (1, 28, 28), (3, 16, 16), (2, 64, 64)]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: tuple[int, ...]) -> None:
    critic, x = AutoencoderCritic(shape, 2, 5), torch.randn(3, *shape)
    assert critic.energy
    assert critic.encode(x).shape == (3, 5)
    assert critic.reconstruct(x).shape == x.shape
    assert critic(x).shape == (3,)


@pytest.mark.parametrize("shape", [(2,), (3, 8, 8)])
def test_energy_is_the_mean_square_of_what_is_missing(shape: tuple[int, ...]) -> None:
    """A decoder that says c everywhere leaves x − c, and no bound keeps c, and so the energy, small."""
    torch.manual_seed(0)
    critic, x, c = AutoencoderCritic(shape, 4, 3), torch.randn(4, *shape), 10.0
    last = critic.decoder[-1]
    nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    nn.init.constant_(last.bias, c)  # type: ignore[arg-type]
    torch.testing.assert_close(critic(x), torch.stack([(one - c).square().mean() for one in x]))


@pytest.mark.parametrize("norm", ["none", "instance", "layer"])
def test_energy_of_a_sample_does_not_depend_on_the_others(norm: str) -> None:
    torch.manual_seed(0)
    critic, x = AutoencoderCritic((1, 16, 16), 4, 3, norm).double(), torch.randn(4, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(critic(x), torch.cat([critic(one[None]) for one in x]))


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
def test_the_gradient_reaches_a_sample_through_both_ends(shape: tuple[int, ...]) -> None:
    """The generator learns from −x and from Dec(Enc(x))."""
    torch.manual_seed(0)
    critic, x = AutoencoderCritic(shape, 4, 3).double(), torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(critic, x)


def test_what_is_rebuilt_comes_from_the_code_alone() -> None:
    critic, x = AutoencoderCritic((1, 8, 8), 2, 3), torch.randn(2, 1, 8, 8)
    assert torch.equal(critic.reconstruct(x), critic.decoder(critic.encode(x)))


def test_no_norm_at_either_end() -> None:
    critic = AutoencoderCritic((1, 16, 16), 4, 3, "batch")
    assert [type(layer) for layer in critic.encoder[:2]] == [nn.Conv2d, nn.LeakyReLU]
    assert isinstance(critic.decoder[-1], nn.ConvTranspose2d)
    assert len([m for m in critic.modules() if isinstance(m, nn.BatchNorm2d)]) == 2


def test_points_can_be_learnt_by_heart() -> None:
    torch.manual_seed(0)
    critic, x = AutoencoderCritic((2,), 32, 2), torch.randn(64, 2)
    start = critic(x).mean().item()
    optimiser = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        critic(x).mean().backward()
        optimiser.step()
    assert critic(x).mean().item() < start / 10
    assert critic(x + 20).mean().item() > start  # far from the data the energy is high


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"x has to be \[N, 1, 16, 16\]"):
        AutoencoderCritic()(torch.randn(2, 1, 8, 8))
    for shape, norm in [((4, 8), "none"), ((1, 8, 16), "none"), ((2,), "batch")]:
        with pytest.raises(ValueError, match="shape has to be"):
            AutoencoderCritic(shape, norm=norm)
    with pytest.raises(ValueError, match="norm"):
        AutoencoderCritic((1, 8, 8), norm="spectral")
    with pytest.raises(ValueError, match="code"):
        AutoencoderCritic(code=0)


# Mutants tried: mean over the batch; sum instead of mean over a sample; absolute instead of squared error; x detached on its way
#   through the encoder; tanh at the decoder's end.
