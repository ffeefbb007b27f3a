"""Statistics of the picture, which normalisations take while they work, as inputs and outputs of a network."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from translate.gan.networks.blocks import SampleBatchNorm


@dataclass
class Tape:
    """What goes into the next run of a network, and what came out of the last one. Statistics: mean and (biased) variance."""

    statistics: Tensor | None = None
    """`[1, S, 2]`, channel after channel of norm after norm."""
    given: Tensor | None = None
    """0: the picture's own statistics count; 1: those given."""
    own: list[Tensor] = field(default_factory=list)
    """Of each norm, `[N, channels, 2]`, in the order of the work."""

    def start(self, statistics: Tensor | None = None, given: Tensor | None = None) -> None:
        self.statistics, self.given, self.own = statistics, given, []


class PictureNorm(nn.Module):
    """Instance normalisation (Ulyanov et al. 2016) of `[N, C, H, W]` that reads and writes a tape."""

    def __init__(self, tape: Tape, eps: float, weight: Tensor | None, bias: Tensor | None) -> None:
        super().__init__()
        self.tape, self.eps = tape, eps
        self.weight, self.bias = (None if p is None else nn.Parameter(p.data[:, None, None]) for p in (weight, bias))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3), keepdim=True)
        tape = self.tape
        place = sum(own.shape[1] for own in tape.own)
        tape.own.append(torch.cat([mean, variance], 3)[:, :, 0])
        if tape.statistics is not None and tape.given is not None:
            other = tape.statistics[:, place : place + x.shape[1], :, None]
            given = tape.given > 0.5  # chosen and not blended, so that what is not given may be anything
            mean, variance = torch.where(given, other[:, :, :1], mean), torch.where(given, other[:, :, 1:], variance)
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        y = (x - mean) * scale
        return y if self.bias is None else y + self.bias


def on_tape(network: nn.Module) -> Tape | None:
    """Lets each norm by channel and picture in `network` read and write a tape, which is returned.

    None, and nothing is changed, where there is no such norm or also one that pools channels.
    """
    norms = {name: part for name, part in network.named_modules() if isinstance(part, nn.GroupNorm | SampleBatchNorm)}
    if not norms or any(isinstance(part, nn.GroupNorm) and part.num_groups < part.num_channels for part in norms.values()):
        return None
    tape = Tape()
    for name, part in norms.items():
        network.set_submodule(name, PictureNorm(tape, part.eps, part.weight, part.bias))
    return tape
