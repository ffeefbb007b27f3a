import pytest
import torch

from translate.gan.networks import PatchGAN


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_receptive_field_is_the_papers(layers: int, field: int) -> None:
    critic = PatchGAN(channels=1, width=2, layers=layers)
    for parameter in critic.parameters():
        torch.nn.init.constant_(parameter, 0.05 if parameter.dim() == 4 else 0)
    x = torch.rand(1, 1, 160, 160, requires_grad=True)
    scores = critic(x)
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], x)
    rows = gradient[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows.max()) - int(rows.min()) + 1 == field
