"""Virtual batch normalisation: statistics of a batch that never changes, so that samples do not depend on one another."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class VirtualBatchNorm(nn.Module):
    """Virtual batch normalisation (Salimans et al. 2016, section 3.5), for a network in a `ReferenceBatch`.

    Of `[R + N, C]` or `[R + N, C, H, W]`, the first R samples are the reference batch, normalised with its own statistics. Each
    of the others is normalised with those of the R + 1 samples that the reference and it make up, whatever else is in the batch.
    Scale and shift are learnt.
    """

    reference = 0
    """R, which the `ReferenceBatch` around the network sets."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    @classmethod
    def convert(cls, network: nn.Module) -> nn.Module:
        """The same network with this in place of every batch normalisation, whose scale and shift it takes over."""
        found = [(at, name, old) for at in network.modules() for name, old in at.named_children() if isinstance(old, _BatchNorm)]
        for parent, name, old in found:
            layer = cls(old.num_features, old.eps)
            layer.weight, layer.bias = old.weight, old.bias
            setattr(parent, name, layer)
        if not found:
            raise ValueError(
                f"VirtualBatchNorm takes the place of batch normalisation, of which {type(network).__name__} has none"
            )
        return network

    def forward(self, x: Tensor) -> Tensor:
        R = self.reference
        if not 0 < R <= len(x):
            raise ValueError(
                f"VirtualBatchNorm: {len(x)} samples and no reference batch before them; put the network in a ReferenceBatch"
            )
        places = tuple(range(2, x.dim()))
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # a variance in bfloat16 is none
        mean, variance = _moments(wide[:R], (0, *places))
        own_mean, own_variance = _moments(wide[R:], places)
        # Mean and variance of R + 1 samples, from those of R of them and those of the last.
        share = 1 / (R + 1)
        joint_mean = mean + share * (own_mean - mean)
        joint_variance = (1 - share) * variance + share * own_variance + share * (1 - share) * (own_mean - mean).square()
        means = torch.cat([mean.expand(R, *mean.shape[1:]), joint_mean])
        variances = torch.cat([variance.expand(R, *variance.shape[1:]), joint_variance])
        scale, shift = (parameter.view(-1, *[1] * len(places)) for parameter in (self.weight, self.bias))
        return ((wide - means) / (variances + self.eps).sqrt() * scale + shift).to(x.dtype)


class ReferenceBatch(nn.Module):
    """A network with virtual batch normalisation: the reference batch is put before every batch, and its results are dropped.

    `reference` `[R, …]` are samples as the network takes them, chosen once; a buffer, so that checkpoints hold them. They pass
    through all layers together with the batch, under the current weights, which learn through them too.
    """

    reference: Tensor

    def __init__(self, network: nn.Module, reference: Tensor) -> None:
        super().__init__()
        if len(reference) < 2:
            raise ValueError(f"ReferenceBatch: at least 2 samples are needed for statistics, not {len(reference)}")
        self.network = network
        self.register_buffer("reference", reference.detach().clone())
        for module in network.modules():
            if isinstance(module, VirtualBatchNorm):
                module.reference = len(reference)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(torch.cat([self.reference.to(x.dtype), x]))[len(self.reference) :]


def _moments(x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over `dims`, which stay as 1; over no dimension: the values, and 0."""
    mean = x.mean(dims, keepdim=True) if dims else x
    return mean, (x - mean).square().mean(dims, keepdim=True) if dims else torch.zeros_like(x)
