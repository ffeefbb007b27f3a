"""Stabilisers: what keeps training steady beside objective and constraint."""

import copy

import torch
from torch import nn


class EMA:
    """Exponential moving average of a network's weights (Karras et al. 2018, appendix A.1, for GANs).

    The decay rises to `decay` over the first steps, so that the random start is forgotten early.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: the decay must be from 0 to below 1, not {decay}")
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards `network` after training step `step` (counted from 1)."""
        decay = min(self.decay, step / (step + 10))
        for average, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
        for kept, value in zip(self.network.buffers(), network.buffers(), strict=True):
            kept.copy_(value)
