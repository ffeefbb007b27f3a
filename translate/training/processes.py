"""Several processes that train one system, started by torchrun: each on its share of every batch, all with the same weights.

A step's losses are means over samples, so that the mean of the processes' gradients is the gradient of the whole batch. The
gradients of a player are averaged where it is about to move; nothing is wrapped, since players share networks.
"""

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from translate.models import System
from translate.training import shards
from translate.training.environment import computes_bf16, several
from translate.training.recipe import Recipe

PATIENCE = timedelta(hours=6)
"""How long the others wait while the first process measures and saves; torchrun ends them all where one dies."""

MANNERS = 5.0
"""Seconds that another process waits before it tells of an error, which most often is the first one's as well."""

Value = TypeVar("Value")


def launcher(recipe: Recipe) -> Fabric:
    """Device, precision and processes of a run. Raises `ValueError` where this machine does not have them, or they do not fit."""
    local, world = (int(os.environ[name]) if several() else 1 for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if recipe.batch % world:
        raise ValueError(
            f"batch = {recipe.batch} cannot be shared out evenly among {world} processes: make it a multiple of them"
        )
    strategy: Strategy | str = "auto"
    if world > 1 and recipe.shard:
        strategy = ModelParallelStrategy(shards.split, data_parallel_size=world, tensor_parallel_size=1, timeout=PATIENCE)
    elif world > 1:
        strategy = DDPStrategy(timeout=PATIENCE)
    try:
        fabric = Fabric(
            accelerator=recipe.device, strategy=strategy, devices=local, num_nodes=world // local, precision=precision(recipe)
        )
    except (MisconfigurationException, ValueError, RuntimeError, ImportError) as error:
        raise ValueError(f"device = {recipe.device!r} cannot be used: {error}") from error
    if world > 1:
        fabric.launch()
    return fabric


def precision(recipe: Recipe) -> Literal["32-true", "bf16-mixed"]:
    """What `auto` is on this machine."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16-mixed" if computes_bf16(recipe.device) else "32-true"


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return not several() or os.environ["RANK"] == "0"


def let_first_speak() -> None:
    """For a process that has failed: where the first one has failed too, torchrun ends this one while it waits."""
    if not is_first():
        time.sleep(MANNERS)


def same_everywhere(fabric: Fabric, model: System) -> None:
    """Gives all processes the first one's weights; on GPUs, batch normalisation is over the samples of all of them."""
    if fabric.world_size == 1:
        return
    for tensor in (*model.parameters(), *model.buffers()):
        first = tensor.detach().contiguous()  # messages are sent in one piece
        dist.broadcast(first, src=0)
        tensor.data.copy_(first)
    if fabric.device.type == "cuda":  # it keeps the parameters themselves, and there is none for other devices
        nn.SyncBatchNorm.convert_sync_batchnorm(cast(nn.Module, model))


def average(fabric: Fabric, parameters: Sequence[nn.Parameter], numbers: Tensor) -> Tensor:
    """Gradients, in place, and `numbers` `[K]` become their means over all processes, in one message. Gradients of weights that
    are shared out are means already."""
    if fabric.world_size == 1:
        return numbers
    gradients = [each.grad for each in parameters if each.grad is not None and not shards.is_part(each)]
    whole = torch.cat([*(gradient.reshape(-1) for gradient in gradients), numbers])
    dist.all_reduce(whole)
    whole /= fabric.world_size
    *means, told = whole.split([*(gradient.numel() for gradient in gradients), len(numbers)])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
    return told


def gathered(fabric: Fabric, value: Value) -> list[Value]:
    """Everybody's value, in the first process; nothing in the others."""
    if fabric.world_size == 1:
        return [value]
    values: list[Value] | None = [value] * fabric.world_size if fabric.is_global_zero else None
    dist.gather_object(value, values)
    return values or []


def told_by_first(fabric: Fabric, value: Value) -> Value:
    return value if fabric.world_size == 1 else fabric.broadcast(value)


def draw_apart(fabric: Fabric, seed: int, step: int, known: int = 1) -> None:
    """Random numbers of its own for each process whose own are not `known`, again the same in each run."""
    if fabric.global_rank >= known:
        torch.manual_seed(int(np.random.SeedSequence((seed, step, fabric.global_rank)).generate_state(1)[0]))
