"""Weights shared out over the processes (FSDP): each keeps a part of every tensor, of its gradient, its moments and its average.

A layer is put together where it is about to work, forwards or backwards, and taken apart again (Rajbhandari et al. 2020, ZeRO,
stage 3), by PyTorch's `fully_shard`, which averages the gradients as well. The critic's player stays whole: penalties go through
a critic's gradient backwards, where nobody puts its layers together.
"""

import warnings
from typing import Any, TypeGuard

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from translate.gan.adversary import Adversary
from translate.gan.stabilisers import EMA
from translate.models import System

LARGE = 1 << 16
"""Numbers from which a layer is put together by itself; what is smaller comes with its network, in one message."""


def split(network: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """The network, of which each process along `mesh`'s data_parallel keeps its part. It works where its forward is called."""
    network.to(memory_format=torch.contiguous_format)  # no other can be split
    along = mesh["data_parallel"]
    large = [layer for layer in network.modules() if sum(own.numel() for own in layer.parameters(recurse=False)) >= LARGE]
    for part in dict.fromkeys((*large, network)):  # the whole last: it takes what is left
        fully_shard(part, mesh=along, reshard_after_forward=True)
        part.register_forward_pre_hook(_laid_out)
    return network


def _laid_out(layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Where a batch is one picture, `fully_shard` passes it on with another stride of the batch, by which convolutions no longer
    see that it lies in channels_last, and give up the format. The same picture with the stride that it had."""
    return tuple(_restrided(x) if isinstance(x, Tensor) and x.dim() == 4 and len(x) == 1 else x for x in given)


def _restrided(x: Tensor) -> Tensor:
    last = x.permute(0, 2, 3, 1)
    return last.view(last.shape).permute(0, 3, 1, 2) if last.is_contiguous() else x


def share_out(fabric: Fabric, model: System, ema: EMA) -> None:
    """Splits what players without a critic train, and the average. Weights are to be there by then, and optimisers not yet."""
    if not shares(fabric):
        return
    # It warns of what comes out of a network as a view. Nobody writes into that here.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view")
    players = (module for module in model.players.values() if is_shared(module))
    for module in (*players, ema.network):
        for network in module.children() if isinstance(module, nn.ModuleList | nn.ModuleDict) else [module]:
            fabric.strategy.setup_module(network)
    ema.borrows = False


def is_shared(player: nn.Module) -> bool:
    """Whether what a player trains is shared out: all but critics."""
    return not any(isinstance(part, Adversary) for part in player.modules())


def shares(fabric: Fabric) -> bool:
    """Whether the processes share weights out, so that all of them have to be there where a network works or is saved."""
    return isinstance(fabric.strategy, ModelParallelStrategy)


def is_part(tensor: Tensor) -> TypeGuard[DTensor]:
    return isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that all processes have a part of, put together by all of them."""
    return tensor.full_tensor() if is_part(tensor) else tensor


def like(parameter: Tensor, value: Tensor) -> Tensor:
    """The whole `value` laid out, and shared out, as `parameter` is, which has its shape."""
    if is_part(parameter):
        given = value.to(parameter.device, parameter.dtype)
        return distribute_tensor(given, parameter.device_mesh, parameter.placements, src_data_rank=None)
    return torch.empty_like(parameter).copy_(value)
