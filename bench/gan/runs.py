"""Trained systems for the benchmarks, by the same loop and recipes as everybody's."""

import copy
import json
import math
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file
from torch import nn

from bench.resumed import begun
from translate.training.checkpoint import generator_weights, latest
from translate.training.recipe import Recipe
from translate.training.run import train
from translate.training.samples import DigitClassifier
from translate.training.tasks import Handwriting, find

mpl.use("Agg")


DIVERGED = {"modes": 0, "quality": 0, "distance": math.inf, "fid": math.inf, "certainty": math.nan, "classes": math.nan}
"""What stands in the tables for a run whose losses left the numbers."""


Wanted: TypeAlias = tuple[str, Sequence[str], str]
"""A run: recipe, settings and name."""


@dataclass(frozen=True)
class Trained:
    model: Any
    """A `System`, with whatever its own kind has besides."""
    network: nn.Module
    """The averaged generator."""
    log: list[dict[str, Any]]
    """The lines of metrics.jsonl; after those of a run that diverged, `DIVERGED`."""
    diverged: bool = False
    """The networks are then those of its last checkpoint, or as they were at first."""

    def last(self, key: str) -> float:
        return float(next(line[key] for line in reversed(self.log) if key in line))

    def curve(self, key: str) -> tuple[list[int], list[float]]:
        lines = [line for line in self.log if key in line]
        return [line["step"] for line in lines], [line[key] for line in lines]


@dataclass(frozen=True)
class Runs:
    work: Path
    mnist: Path | None
    seeds: int
    out: Path
    jobs: int = 1

    def ahead(self, wanted: Iterable[Wanted]) -> None:
        """Trains side by side what is to be `trained` then: networks as small as these gain little by threads."""
        if self.jobs > 1:
            with ProcessPoolExecutor(self.jobs, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
                for run in [pool.submit(_train, self, what) for what in wanted]:
                    run.result()

    def trained(self, recipe: str, *settings: str, name: str = "") -> Trained:
        """The recipe's system after its training, which is gone on with where one was stopped."""
        folder = self.work / (name or recipe)
        print(f"<!-- {folder.name} -->", flush=True)
        run = begun(recipe, self.mnist, folder, settings)
        diverged = False
        try:
            train(run, lambda *_: None)
        except FloatingPointError as error:
            print(f"<!-- {folder.name} diverged: {error} -->", flush=True)
            diverged = True
        model = run.recipe.build()
        network = copy.deepcopy(model.translator)
        if found := latest(folder):
            model.load_state_dict(load_file(found / "weights.safetensors"))
            network.load_state_dict(generator_weights(found))
        model.eval()  # type: ignore[attr-defined]
        log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        if diverged:
            log.append({"step": run.recipe.steps} | DIVERGED)
        return Trained(model, network.eval(), log, diverged)

    def digits(self, recipe: str, *settings: str, name: str = "") -> Trained:
        """The same on MNIST, where there is one."""
        return self.found(self.on_digits(recipe, *settings, name=name))

    def found(self, wanted: Wanted) -> Trained:
        recipe, settings, name = wanted
        return self.trained(recipe, *settings, name=name)

    def on_digits(self, recipe: str, *settings: str, name: str = "") -> Wanted:
        return recipe, [*self._source, *settings], f"{name or recipe}{'-mnist' if self.mnist else ''}"

    @property
    def _source(self) -> list[str]:
        return ["data.kind=mnist"] if self.mnist else []

    @cached_property
    def handwriting(self) -> Handwriting:
        """The digits that systems learn from, and those held out."""
        task = find(Recipe.load("dcgan-digits.toml", self._source), self.mnist)
        assert isinstance(task, Handwriting)
        return task

    @cached_property
    def classifier(self) -> DigitClassifier:
        """Trained on the real digits."""
        return DigitClassifier.trained(self.handwriting.pictures)

    def save(self, figure: Figure, name: str) -> None:
        figure.tight_layout()
        figure.savefig(self.out / f"{name}.png", dpi=110)
        print(f"![{name}](pictures/gan/{name}.png)\n", flush=True)


def _train(runs: Runs, wanted: Wanted) -> None:
    runs.found(wanted)


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a Markdown table."""
    print(f"### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(f'{cell:.3g}' if isinstance(cell, float) else str(cell) for cell in row)} |")
    print(flush=True)


def spread(values: Sequence[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f}–{max(values):.3f})"
