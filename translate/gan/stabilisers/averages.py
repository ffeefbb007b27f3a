"""Averages of weights over training: one to use afterwards, one to stay close to."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector


class EMA:
    """Exponential moving average of a network's weights (Karras et al. 2018, appendix A.1, for GANs).

    The decay rises to `decay` over the first steps, so that the random start is forgotten early. With a decay of 0 the average is
    the network itself: it `borrows` its weights, and `update` moves none.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: the decay must be from 0 to below 1, not {decay}")
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.borrows = not decay
        if self.borrows:
            for average, weight in zip(self.network.parameters(), network.parameters(), strict=True):
                average.data = weight.data

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards `network` after training step `step` (counted from 1)."""
        if not self.borrows:
            decay = min(self.decay, step / (step + 10))
            for average, weight in zip(self.network.parameters(), network.parameters(), strict=True):
                average.lerp_(weight, 1 - decay)
        for kept, value in zip(self.network.buffers(), network.buffers(), strict=True):
            kept.copy_(value)


class HistoricalAveraging(nn.Module):
    """Historical averaging (Salimans et al. 2016, section 3.3): λ · ‖θ − 1/t Σᵢ θ[i]‖², minimised beside a player's own loss.

    θ are all parameters of the player's network; λ is `weight`. The average begins with the first penalty, and every `update`
    adds to it. The state dict holds it.
    """

    mean: Tensor
    count: Tensor

    def __init__(self, weight: float = 1) -> None:
        super().__init__()
        if not 0 < weight < math.inf:
            raise ValueError(f"HistoricalAveraging: the weight must be > 0, not {weight}")
        self.weight = weight
        self.register_buffer(
            "mean", torch.empty(0), persistent=False
        )  # as long as θ, which is not known yet: see get_extra_state
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def penalty(self, network: nn.Module) -> Tensor:
        """A scalar, whose gradient reaches `network` alone."""
        if not len(self.mean):
            self.update(network)
        return self.weight * (parameters_to_vector(network.parameters()) - self.mean).square().sum()

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Takes in the parameters after a training step."""
        now = parameters_to_vector(network.parameters())
        self.count += 1
        self.mean = now.clone() if not len(self.mean) else self.mean + (now - self.mean) / self.count

    def get_extra_state(self) -> Tensor:
        return self.mean

    def set_extra_state(self, state: Tensor) -> None:
        self.mean = state.to(self.mean.device, copy=True)
