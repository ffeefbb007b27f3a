import pytest
import torch
from torch import nn

from translate.gan.networks import MLPCritic, MLPGenerator


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 4, 6)])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_shapes(shape: tuple[int, ...], norm: str) -> None:
    generator, critic = MLPGenerator(5, shape, 8, 2, norm), MLPCritic(shape, 8, 2, norm=norm)
    x = generator(torch.randn(3, 5))
    assert x.shape == (3, *shape)
    assert critic(x).shape == (3,)
    assert critic.features(x).shape == (3, 8)


def test_wgans_comparison_is_four_hidden_layers_of_512_relu_units() -> None:
    generator, critic = MLPGenerator(100, (3, 8, 8), 512, 4), MLPCritic((3, 8, 8), 512, 4, leak=0)
    inner = 3 * (512 * 512 + 512)
    assert sum(p.numel() for p in generator.parameters()) == 100 * 512 + 512 + inner + 512 * 192 + 192
    assert sum(p.numel() for p in critic.parameters()) == 192 * 512 + 512 + inner + 512 + 1
    assert (critic.features(torch.randn(4, 3, 8, 8)) >= 0).all()


def test_the_critic_leaks_unless_told_otherwise() -> None:
    """One hidden unit that sees −1: LeakyReLU gives −0.2."""
    critic = MLPCritic((1,), 1, 1)
    nn.init.ones_(critic.body[0].weight)  # type: ignore[arg-type]
    nn.init.zeros_(critic.body[0].bias)  # type: ignore[arg-type]
    assert critic.features(torch.tensor([[-1.0]])).item() == pytest.approx(-0.2)


def test_the_score_is_linear_in_the_features_and_a_sigmoid_comes_only_when_asked_for() -> None:
    torch.manual_seed(0)
    critic, x = MLPCritic((2,), 8, 2), torch.randn(5, 2)
    assert torch.equal(critic(x), critic.score(critic.features(x))[:, 0])
    squashed = MLPCritic((2,), 8, 2, sigmoid=True)
    squashed.load_state_dict(critic.state_dict())
    torch.testing.assert_close(squashed(x), critic(x).sigmoid())
    assert (critic.sigmoid, squashed.sigmoid, critic.energy) == (False, True, False)


def test_points_are_unbounded_and_pictures_are_not() -> None:
    torch.manual_seed(0)
    z = 1000 * torch.randn(4, 2)
    generator, bounded = MLPGenerator(), MLPGenerator(tanh=True)
    bounded.load_state_dict(generator.state_dict())
    assert generator(z).abs().max() > 1
    torch.testing.assert_close(bounded(z), generator(z).tanh())


def test_no_norm_on_the_generators_output_or_the_critics_input() -> None:
    generator, critic = MLPGenerator(2, (2,), 8, 3, "batch"), MLPCritic((2,), 8, 3, norm="batch")
    assert isinstance(generator.body[-1], nn.Linear)
    assert [isinstance(layer, nn.BatchNorm1d) for layer in generator.body] == [False, True, False] * 3 + [False]
    assert [isinstance(layer, nn.BatchNorm1d) for layer in critic.body] == [False, False] + [False, True, False] * 2


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"z has to be \[N, 2\], not \[4, 3\]"):
        MLPGenerator()(torch.randn(4, 3))
    with pytest.raises(ValueError, match=r"x has to be \[N, 2\]"):
        MLPCritic()(torch.randn(4, 3))
    with pytest.raises(ValueError, match="none"):
        MLPCritic(norm="instance", depth=1)
    with pytest.raises(ValueError, match="depth"):
        MLPGenerator(depth=0)
    with pytest.raises(ValueError, match="shape"):
        MLPCritic(())


# Mutants tried: one hidden layer more; tanh always; a norm behind the critic's first layer.
