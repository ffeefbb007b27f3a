"""What a recipe costs before it is run: parameters, operations, memory and time."""

import math
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from translate.data.generative import Pictures
from translate.data.pixels import Paired
from translate.models import Generative, System
from translate.training import fit, tasks
from translate.training.environment import device_name
from translate.training.evaluate import Judge, Translations
from translate.training.log import memory
from translate.training.recipe import Recipe
from translate.training.sections import TRANSLATED, Part
from translate.training.shards import is_shared

WARM = 2
"""Rounds that are not counted: the first calls of a kernel take many times as long."""
ROUNDS = 5
ENOUGH = 20.0
"""Seconds of counted rounds, after which there need not be all of them."""


@dataclass(frozen=True)
class Measured:
    """Seconds of a step, the number of steps that they were taken from, and the most memory so far in GiB (0: not known)."""

    seconds: float
    steps: int
    peak: float


def parameters(model: Any) -> dict[str, int]:
    """Of each part; what two parts share is counted with the first."""
    seen: set[int] = set()
    found = {}
    for name, part in model.named_children():
        own = {id(parameter): parameter.numel() for parameter in part.parameters() if id(parameter) not in seen}
        seen |= own.keys()
        if own:
            found[name] = sum(own.values())
    return found


def macs(recipe: Recipe) -> dict[str, int]:
    """Multiply-accumulates of one sample through each generator, at the training size."""
    translates = recipe.data.kind in TRANSLATED
    model = _system(recipe, "meta" if translates else "cpu")  # drawing takes values, but then networks are small
    translator = model.translator
    ways = dict(translator.named_children()) if isinstance(translator, nn.ModuleDict) else {"": translator}
    found = {}
    for (way, network), channels in zip(ways.items(), recipe.data.sides, strict=False):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            size = (1, channels, recipe.data.size, recipe.data.size)
            network.eval()(model.latent(1) if isinstance(model, Generative) else torch.empty(size, device="meta"))
        found[way] = counter.get_total_flops() // 2
    return found


def counted_bytes(recipe: Recipe) -> tuple[int, int]:
    """Of weights, gradients, the optimisers' moments and the average, in single precision: all, and those that several
    processes share out, should the recipe say so."""
    model = _system(recipe, "meta")
    total = shared = sum(parameter.numel() for parameter in model.translator.parameters())  # the average
    for player, module in model.players.items():
        copies = 3 if recipe.optimisers[player].algorithm == "rmsprop" else 4
        numbers = copies * sum(parameter.numel() for parameter in module.parameters())
        total += numbers
        shared += numbers if is_shared(module) else 0
    return 4 * total, 4 * shared if recipe.shard else 0


def measure(recipe: Recipe) -> Measured:
    """Trains some steps in the training's own loop, on random pictures where the recipe needs pictures, and forgets them.

    A round is as many steps as it takes until every player has moved.
    """
    each = math.lcm(*(options.every for options in recipe.optimisers.values()))
    times: list[float] = []

    def tell(status: fit.Status) -> None:
        times.append(time.monotonic())
        rounds = len(times) // each - WARM
        if rounds >= ROUNDS or (rounds >= 1 and times[-1] - times[WARM * each - 1] > ENOUGH):
            raise _Enough

    never = {"log_every": 10**9, "validate_every": 10**9, "checkpoint_every": 10**9, "workers": 0, "steps": 10**9}
    model = recipe.model.model_dump() | ({"pretrain": 0} if "pretrain" in recipe.model.arguments else {})
    short = recipe.model_copy(update=never | {"model": Part(**model)})  # the critic alone is no measure of the whole
    with tempfile.TemporaryDirectory() as folder, suppress(_Enough):
        fit.fit(short, Path(folder), Costless(recipe), tell)
    ends = times[WARM * each - 1 :: each]
    rounds = [after - before for before, after in pairwise(ends)]
    device = torch.device("cuda" if device_name(recipe.device).startswith("cuda") else "cpu")
    return Measured(median(rounds) / each, len(rounds) * each, memory(device).get("memory_gib", 0))


def epoch(task: tasks.Task) -> int | None:
    """Samples after which each picture has had its turn, on the average; none where samples are drawn without end."""
    match task:
        case tasks.Restoration(sources=found):
            return len(found.clean) + len(found.pairs)
        case tasks.Aligned(pairs=found):
            return len(found.learned)
        case tasks.Domains(domains=found):
            return max(len(found.learned.x), len(found.learned.y))
        case tasks.Handwriting(pictures=found):
            return len(found)
    return None


def summary(recipe: Recipe, task: tasks.Task | None) -> list[str]:
    """In words, a line each. `task` is missing where nobody has told where the pictures are."""
    counts, found = parameters(_system(recipe, "meta")), measure(recipe)
    if len(counts) > 1:
        counts["together"] = sum(counts.values())
    wide = max(map(len, counts))
    lines = [f"{name:<{wide}}  {count:>12,} parameters" for name, count in counts.items()]
    sample = f"picture of {recipe.data.size}×{recipe.data.size} pixels" if recipe.data.kind in TRANSLATED else "sample"
    for way, count in macs(recipe).items():
        lines.append(f"forward{f' {way}' if way else ''}: {count / 1e9:,.4g} GMACs for a {sample}")
    peak = f"; {found.peak:.2f} GiB at the peak of these steps, the program included (measured)" if found.peak else ""
    total, shared = (count / 2**30 for count in counted_bytes(recipe))
    parts = f", {shared:.2f} of them shared out over the processes" if shared else ""
    lines.append(f"memory: {total:.2f} GiB for weights, gradients, moments and the average (counted){parts}{peak}")
    where = f"{'random pictures, ' if recipe.data.kind in (*TRANSLATED, 'mnist') else ''}{device_name(recipe.device)}"
    lines.append(f"a step: {_span(found.seconds)} (measured: median of {found.steps}, {recipe.samples} samples, {where})")
    if task is not None and (samples := epoch(task)):
        steps = samples / recipe.samples
        lines.append(f"an epoch of {samples:,}: {_span(found.seconds * steps)}, {steps:,.0f} steps")
    lines.append(f"all {recipe.steps:,} steps: {_span(found.seconds * recipe.steps)}")
    return [*lines, "without reading pictures, validations and checkpoints, and on a machine as busy as it is now"]


class _Enough(Exception):
    """Ends a measurement."""


@dataclass(frozen=True)
class Costless:
    """A task whose samples cost next to nothing, and that is never judged."""

    recipe: Recipe
    start_worker: None = None

    def dataset(self) -> Dataset[Any]:
        kind, side = self.recipe.data.kind, self.recipe.data.size
        drawn = torch.Generator().manual_seed(0)
        if kind in TRANSLATED:
            pictures = (torch.rand(depth, side, side, generator=drawn) * 2 - 1 for depth in self.recipe.data.sides)
            return _Same(Paired(*pictures))
        if kind == "mnist":
            return Pictures(torch.rand(100, 1, side, side, generator=drawn) * 2 - 1, torch.arange(100) % 10)
        return tasks.find(self.recipe, None).dataset()

    @property
    def judge(self) -> Judge:
        return Translations({})


@dataclass(frozen=True)
class _Same(Dataset[Paired]):
    sample: Paired

    def __getitem__(self, index: int) -> Paired:
        return self.sample


def _system(recipe: Recipe, device: str) -> System:
    with torch.device(device):
        return recipe.build()


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 90:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
