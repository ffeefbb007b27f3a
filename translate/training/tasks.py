"""Tasks: what a recipe's data means for training: a data set to learn from and a judge of what was learned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from torch import nn
from torch.utils.data import Dataset

from translate.data import aligned, generative, layouts, paired, unpaired
from translate.data.damage import Damage
from translate.data.pixels import start_worker
from translate.models import Generative, System
from translate.training import fit
from translate.training.evaluate import BothWays, Judge, Translations
from translate.training.recipe import Recipe
from translate.training.samples import Digits, Modes


class Task(fit.Task, Protocol):
    """What `str` gives is told before the training starts."""

    def check(self, model: System) -> None:
        """Raises `ValueError` where the data does not fit the system."""


@dataclass(frozen=True)
class Restoration:
    """Damaged and clean photographs."""

    recipe: Recipe
    sources: paired.Sources
    start_worker: Callable[[int], None] | None = start_worker

    @classmethod
    def find(cls, recipe: Recipe, folder: Path | None) -> "Restoration":
        data = recipe.data
        task = cls(
            recipe, paired.find(_told(recipe, folder), data.clean, data.pairs, data.overlays, data.holdout, data.target_first)
        )
        task._damage()  # its shares are checked now
        return task

    def __str__(self) -> str:
        return str(self.sources)

    def check(self, model: System) -> None:
        _one_way(model, self.recipe)

    def dataset(self) -> Dataset[Any]:
        data = self.recipe.data
        dataset = paired.Restoration(
            self.sources,
            size=data.size,
            seed=self.recipe.seed,
            pair_share=data.pair_share,
            transplant=data.transplant,
            upright=data.upright,
            damage=self._damage(),
        )
        dataset.preload()
        return dataset

    @cached_property
    def judge(self) -> Judge:
        return Translations(paired.validation(self.sources))

    def _damage(self) -> Damage:
        data = self.recipe.data
        return Damage(self.sources.overlays, data.untouched, data.noise, data.marked)


@dataclass(frozen=True)
class Aligned:
    """Pairs of any two kinds of pictures."""

    recipe: Recipe
    pairs: aligned.Pairs
    start_worker: Callable[[int], None] | None = start_worker

    @classmethod
    def find(cls, recipe: Recipe, folder: Path | None) -> "Aligned":
        task = cls(recipe, aligned.find(*_recognised(recipe, folder), recipe.data.holdout))
        task._samples()  # its sizes are checked now
        return task

    def __str__(self) -> str:
        return str(self.pairs)

    def check(self, model: System) -> None:
        _one_way(model, self.recipe)

    def dataset(self) -> Dataset[Any]:
        samples = self._samples()
        samples.preload()
        return samples

    @cached_property
    def judge(self) -> Judge:
        data = self.recipe.data
        held = aligned.validation(self.pairs.held, data.size, data.sides)
        return Translations({"val": held} if held else {})

    def _samples(self) -> aligned.Aligned:
        data = self.recipe.data
        return aligned.Aligned(self.pairs.learned, data.size, data.load, data.mirror, data.turn, data.sides, self.recipe.seed)


@dataclass(frozen=True)
class Domains:
    """Two kinds of pictures without pairs."""

    recipe: Recipe
    domains: unpaired.Domains
    start_worker: Callable[[int], None] | None = start_worker

    @classmethod
    def find(cls, recipe: Recipe, folder: Path | None) -> "Domains":
        task = cls(recipe, unpaired.find(*_recognised(recipe, folder), recipe.data.holdout))
        task._samples()  # its sizes are checked now
        return task

    def __str__(self) -> str:
        return str(self.domains)

    def check(self, model: System) -> None:
        if not isinstance(model.translator, nn.ModuleDict):
            raise ValueError("data of kind = 'unpaired' is for systems of two translators: cyclegan, dualgan")
        _fits(model.translator["there"], self.recipe.data.size)

    def dataset(self) -> Dataset[Any]:
        samples = self._samples()
        samples.preload()
        return samples

    @cached_property
    def judge(self) -> Judge:
        data = self.recipe.data
        return BothWays(*unpaired.validation(self.domains, data.size, data.sides))

    def _samples(self) -> unpaired.Unpaired:
        data = self.recipe.data
        return unpaired.Unpaired(self.domains.learned, data.size, data.load, data.mirror, data.turn, data.sides, self.recipe.seed)


@dataclass(frozen=True)
class Points:
    """Mixtures of Gaussians in the plane."""

    recipe: Recipe
    mixture: generative.Mixture
    start_worker: Callable[[int], None] | None = None

    @classmethod
    def ring(cls, recipe: Recipe, folder: Path | None) -> "Points":
        return cls(recipe, generative.ring(seed=recipe.seed))

    @classmethod
    def grid(cls, recipe: Recipe, folder: Path | None) -> "Points":
        return cls(recipe, generative.grid(seed=recipe.seed))

    def __str__(self) -> str:
        return f"a mixture of {len(self.mixture.centres)} Gaussians of deviation {self.mixture.deviation}"

    def check(self, model: System) -> None:
        _play_once(model, self.mixture)

    def dataset(self) -> Dataset[Any]:
        return self.mixture

    @cached_property
    def judge(self) -> Judge:
        return Modes(self.mixture)


@dataclass(frozen=True)
class Handwriting:
    """Pictures of digits, with their classes."""

    pictures: generative.Pictures
    held: generative.Pictures
    start_worker: Callable[[int], None] | None = None

    @classmethod
    def digits(cls, recipe: Recipe, folder: Path | None) -> "Handwriting":
        share, size = recipe.data.holdout, recipe.data.size
        if not 0 < share < 1:
            raise ValueError(f"data.holdout = {share}: some digits have to be held out, and some learned from")
        return cls(generative.digits(share, size, seed=recipe.seed), generative.digits(share, size, held=True))

    @classmethod
    def mnist(cls, recipe: Recipe, folder: Path | None) -> "Handwriting":
        if folder is None:
            raise ValueError(f"recipe {recipe.name} learns from MNIST: say with --data DIR where its four idx files are")
        size = recipe.data.size
        return cls(generative.mnist(folder, size, seed=recipe.seed), generative.mnist(folder, size, held=True))

    def __str__(self) -> str:
        side = self.pictures.pictures.shape[-1]
        return f"{len(self.pictures)} digits of {side}×{side} pixels; held out: {len(self.held)}"

    def check(self, model: System) -> None:
        _play_once(model, self.pictures)

    def dataset(self) -> Dataset[Any]:
        return self.pictures

    @cached_property
    def judge(self) -> Judge:
        return Digits(self.pictures, self.held)


TASKS: Mapping[str, Callable[[Recipe, Path | None], Task]] = {
    "paired": Restoration.find,
    "aligned": Aligned.find,
    "unpaired": Domains.find,
    "ring": Points.ring,
    "grid": Points.grid,
    "digits": Handwriting.digits,
    "mnist": Handwriting.mnist,
}


def find(recipe: Recipe, folder: Path | None) -> Task:
    """The task that `recipe.data` names, with its data found below `folder`. Raises `ValueError` where it is not there."""
    return TASKS[recipe.data.kind](recipe, folder)


def _recognised(recipe: Recipe, folder: Path | None) -> tuple[Path, layouts.Layout]:
    data, root = recipe.data, _told(recipe, folder)
    return root, layouts.recognise(root, data.source, data.target, data.joined, data.target_first)


def _told(recipe: Recipe, folder: Path | None) -> Path:
    if folder is None:
        raise ValueError(f"recipe {recipe.name} learns from pictures: say with --data DIR where they are")
    return folder


def _one_way(model: System, recipe: Recipe) -> None:
    """Raises `ValueError` unless the system is one translator, which fits the data."""
    if isinstance(model, Generative):
        raise ValueError(f"this model draws samples from noise: give it data of another kind than {recipe.data.kind!r}")
    if isinstance(model.translator, nn.ModuleDict):
        raise ValueError("this model translates both ways without pairs: give it data of kind = 'unpaired'")
    _fits(model.translator, recipe.data.size)


def _fits(network: nn.Module, size: int) -> None:
    stride = int(getattr(network, "stride", 1))
    if size % stride:
        raise ValueError(
            f"data.size = {size} has to be a multiple of the generator's stride, {stride}; a unet's is 2^generator.levels"
        )


def _play_once(model: System, data: generative.Mixture | generative.Pictures) -> None:
    """Raises `ValueError` where the networks do not fit the samples, or one another."""
    if not isinstance(model, Generative):
        raise ValueError("this model translates pictures, and draws nothing from noise: give it data of kind = 'paired'")
    batch = data.__getitems__(range(2))
    drawn, wanted = tuple(model.translator(model.latent(2)).shape[1:]), tuple(batch.x.shape[1:])
    if drawn != wanted:
        raise ValueError(f"the generator draws samples of shape {drawn}, but the data's are {wanted}")
    try:
        out = model(batch)
        for player in model.players:
            model.losses(player, batch, out)
    except RuntimeError as error:
        raise ValueError(f"the networks do not fit the data or one another: {error}") from error
