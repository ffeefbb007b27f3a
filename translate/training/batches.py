"""Batches: which samples each step takes, in each process, and where they come from."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from translate.training.recipe import Recipe


class Shares:
    """Indices of the samples of each batch, as a sampler: step after step, those that process `rank` of `world` works on.

    Step s takes samples s·B to (s + 1)·B, with B = `recipe.samples`, in `recipe.accumulate` batches one after the other, however
    many processes share each. So what was drawn before a resume is not drawn again, and no sample is drawn twice.
    """

    def __init__(self, recipe: Recipe, first: int, rank: int, world: int) -> None:
        self._batches = range(first * recipe.accumulate, recipe.steps * recipe.accumulate)
        self._batch, self._rank, self._world = recipe.batch, rank, world

    def __iter__(self) -> Iterator[range]:
        for number in self._batches:
            yield _share(range(number * self._batch, (number + 1) * self._batch), self._rank, self._world)

    def __len__(self) -> int:
        return len(self._batches)


def batches(
    recipe: Recipe, data: Dataset[Any], first: int, start_worker: Callable[[int], None] | None, rank: int = 0, world: int = 1
) -> Iterator[Any]:
    """The shares of process `rank`, from those of step `first` on."""
    if start_worker:
        start_worker(0)  # here as well: a fork beside OpenCV's threads would never come to work
    # Forked workers share the decoded pictures with this process instead of copying them.
    # macOS has fork but its libraries do not survive it; Windows has none.
    context = "fork" if recipe.workers and sys.platform == "linux" else None
    together = hasattr(data, "__getitems__")  # some draw whole batches, of which a part cannot be drawn alone
    loader = DataLoader(
        data,
        batch_sampler=Shares(recipe, first, 0, 1) if together else Shares(recipe, first, rank, world),  # type: ignore[arg-type]
        num_workers=recipe.workers,
        worker_init_fn=start_worker,
        multiprocessing_context=context,
        prefetch_factor=4 if recipe.workers else None,
        generator=torch.Generator(),  # its own, so that starting it draws nothing from the model's
        collate_fn=partial(_part, rank=rank, world=world) if together else default_collate,
    )
    return _plainly(iter(loader))


def _plainly(loaded: Iterator[Any]) -> Iterator[Any]:
    """What a worker raises, without the story of its process: the last line is the error's own."""
    try:
        yield from loaded
    except (ValueError, OSError) as error:
        if "Original Traceback" not in str(error):
            raise
        raise type(error)(str(error).strip().splitlines()[-1].partition(": ")[2]) from None


def files(data: Dataset[Any], recipe: Recipe, step: int) -> list[str]:
    """The files that the samples of training step `step`, counted from 0, are made of, in all processes; or the samples' numbers,
    where they are made of none."""
    indices = range(step * recipe.samples, (step + 1) * recipe.samples)
    named = getattr(data, "files", None)
    if named is None:
        return [f"samples {indices[0]} to {indices[-1]}, which are drawn from no files"]
    return list(dict.fromkeys(str(path) for index in indices for path in named(index)))


def to(batch: Any, device: torch.device, channels_last: bool) -> Any:
    memory = torch.channels_last if channels_last else torch.preserve_format
    # Only pictures have channels to put last
    formats = (memory if tensor.dim() == 4 else torch.preserve_format for tensor in batch)
    return type(batch)(*(t.to(device, memory_format=f, non_blocking=True) for t, f in zip(batch, formats, strict=True)))


def joined(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """The whole batches, of the shares that each process has of all of them."""
    return [type(parts[0])(*map(torch.cat, zip(*parts, strict=True))) for parts in zip(*shares, strict=True)]


def _part(batch: Any, rank: int, world: int) -> Any:
    return batch if world == 1 else type(batch)(*(_share(tensor, rank, world) for tensor in batch))


def _share(whole: Any, rank: int, world: int) -> Any:
    each = len(whole) // world
    return whole[rank * each : (rank + 1) * each]
