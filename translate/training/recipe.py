"""Recipe: everything that decides a training run, as TOML. Unknown keys are refused; every key can be set on the command line."""

import difflib
import inspect
import tomllib
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self, get_args

import torch
from pydantic import BaseModel, Field, ValidationError, model_validator
from torch import nn

from translate.gan.adversary import Adversary
from translate.gan.constraints import CONSTRAINTS
from translate.gan.networks import NETWORKS
from translate.gan.objectives import OBJECTIVES
from translate.gan.stabilisers import STABILISERS
from translate.models import MODELS, System
from translate.training import toml
from translate.training.sections import TRANSLATED, About, Count, Critic, Data, Decay, Optimiser, Part, Section


class Recipe(Section):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)
    back: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9._-]*)?$", max_length=64)
    """Name of the second translator of a system that has two; empty: `name` and -back."""
    about: About | None = None
    """Needed where the system is a translator, which is exported."""
    model: Part
    generator: Part
    encoder: Part | None = None
    critic: Critic
    data: Data = Data()
    optimisers: dict[str, Optimiser]
    """One for each player."""
    steps: Count
    batch: Count = 1
    accumulate: Count = 1
    """Batches, one after the other, of which one step is made."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    start: str = ""
    """A run folder or a .safetensors file whose generator the training starts from."""
    device: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "auto"] = "32-true"
    """auto: bf16-mixed where the device computes in bfloat16, else 32-true; a run folder's recipe says which."""
    channels_last: bool = False
    shard: bool = False
    """Several processes share the weights of all but critics out among them, with gradients, moments and average (FSDP)."""
    clip: float = Field(default=0, ge=0)
    """Largest norm of a player's gradient; 0: no limit."""
    explosion: float = Field(default=10000, ge=0)
    """A loss of so many times the largest one before stops the training; 0: none does."""
    ema: Decay = 0.999
    workers: int = Field(default=1, ge=0)
    log_every: Count = 50
    checkpoint_every: Count = 1000
    keep: Count = 2
    """Checkpoints kept beside the best one."""
    validate_every: Count = 1000
    select: str = "old/psnr"
    """The measure of which the highest value marks the best checkpoint; empty: the last one is the best."""

    @property
    def samples(self) -> int:
        """Of one step."""
        return self.batch * self.accumulate

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        known(self.model.name, MODELS, "model")
        known(self.generator.name, NETWORKS, "generator network")
        known(self.critic.network.name, NETWORKS, "critic network")
        known(self.critic.objective.name, OBJECTIVES, "objective")
        known(self.critic.constraint.name, CONSTRAINTS, "constraint")
        for part in self.critic.stabilisers:
            known(part.name, STABILISERS, "stabiliser")
        if self.encoder:
            known(self.encoder.name, NETWORKS, "encoder network")
        if self.data.kind in TRANSLATED and self.about is None:
            raise ValueError("a translator needs [about], which its file's card repeats")
        if self.back and getattr(MODELS[self.model.name], "ways", 1) == 1:
            raise ValueError(f"back = {self.back!r}, but model {self.model.name!r} makes no translator for the way back")
        if self.back == self.name:
            raise ValueError(f"back = {self.back!r} is the name of the way there")
        with torch.device("meta"):  # parts that do not fit are told now, and cost no memory
            self._assemble()
        return self

    @classmethod
    def load(cls, path: str | Path, settings: Sequence[str] = ()) -> "Recipe":
        """Reads a TOML file, or a shipped recipe by its file name, with `key.key=value` settings laid over it.

        Raises `ValueError` that names in one line the file, or the setting, and the key.
        """
        path = find(path)
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no TOML file: {error}") from error
        for setting in settings:
            toml.lay_over(tree, setting)
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            told = [setting.partition("=")[0].strip() for setting in settings]
            raise ValueError(f"{path}: " + "; ".join(_explain(item, cls, told) for item in error.errors())) from error

    def build(self) -> System:
        """The system with freshly initialised networks; the same seed gives the same weights."""
        torch.manual_seed(self.seed)
        return self._assemble()

    def _assemble(self) -> System:
        # A system of two translators has two of everything; the first critic judges pictures of the source
        x, y = self.data.sides
        both = getattr(MODELS[self.model.name], "ways", 1) == 2
        adversaries = [self._adversary(seen) for seen in ((x, y) if both else (x + y,))]
        ends = [(x, y), (y, x)] if both else [(x, y)]
        networks = [self._network(self.generator, channels=first, out_channels=last) for first, last in ends]
        if (self.encoder is None) != ("E" not in inspect.signature(MODELS[self.model.name]).parameters):
            raise ValueError(
                f"model {self.model.name!r} has {'no encoder: leave out' if self.encoder else 'an encoder: give'} [encoder]"
            )
        networks += [_make(NETWORKS, self.encoder)] if self.encoder else []
        model: System = _make(MODELS, self.model, *networks, *adversaries)
        for player in self.optimisers:
            known(player, dict.fromkeys((*model.players, "critic")), "player in [optimisers]")
        missing = [player for player in model.players if player not in self.optimisers]
        if missing:
            raise ValueError(f"no [optimisers.{missing[0]}] for a player of model {self.model.name!r}")
        return model

    def _network(self, part: Part, **channels: int) -> Any:
        """A network, and where pictures are translated, one for the channels that the data has."""
        takes = inspect.signature(NETWORKS[part.name]).parameters
        fit = {key: count for key, count in channels.items() if key in takes and self.data.kind in TRANSLATED}
        for key, count in fit.items():
            if part.arguments.get(key, count) != count:
                raise ValueError(f"{part.name}: {key} = {part.arguments[key]}, but by data.channels it is {count}: leave it out")
        if "out_channels" in channels.keys() - takes.keys() and self.data.channels != 3:
            raise ValueError(f"{part.name} translates RGB alone, but data.channels = {self.data.channels}")
        return _make(NETWORKS, part, **fit)

    def _adversary(self, channels: int) -> Adversary:
        network = self._network(self.critic.network, channels=channels)
        if not hasattr(network, "energy"):
            critics = ", ".join(sorted(name for name, kind in NETWORKS.items() if hasattr(kind, "energy")))
            raise ValueError(f"{self.critic.network.name} is no critic, it gives no scores: choose from {critics}")
        return Adversary(
            network,
            _make(OBJECTIVES, self.critic.objective),
            _make(CONSTRAINTS, self.critic.constraint),
            [self._stabiliser(part) for part in self.critic.stabilisers],
        )

    def _stabiliser(self, part: Part) -> Any:
        """One that changes over time does so over the whole training, where its part does not say over how many steps."""
        takes = inspect.signature(STABILISERS[part.name]).parameters
        return _make(STABILISERS, part, **({"steps": self.steps} if "steps" in takes else {}))

    def to_toml(self) -> str:
        """The whole recipe, defaults included, as TOML that `load` reads back to the same recipe."""
        return toml.dump(self.model_dump(mode="json"))


def find(path: str | Path) -> Path:
    """A recipe file: as given, or shipped with the project."""
    path = Path(path)
    if path.is_file():
        return path
    shipped = Path(str(resources.files("translate") / "recipes"))
    candidate = shipped / path.with_suffix(".toml").name
    if len(path.parts) == 1 and candidate.is_file():
        return candidate
    names = ", ".join(sorted(file.name for file in shipped.glob("*.toml")))
    raise ValueError(f"no recipe {path}: give a TOML file, or one of those shipped: {names}")


def known(name: str, choices: dict[str, Any], what: str) -> None:
    """Raises `ValueError`, listing the choices, where `name` is none of them."""
    if name not in choices:
        raise ValueError(f"unknown {what} {name!r}{_hint(name, choices)}; choose from {', '.join(sorted(choices))}")


def _make(choices: dict[str, Any], part: Part, *inputs: nn.Module, **settled: int) -> Any:
    try:
        return choices[part.name](*inputs, **settled | part.arguments)
    except TypeError as error:
        takes = inspect.signature(choices[part.name]).parameters
        hint = next((_hint(key, takes) for key in part.arguments if key not in takes), "")
        raise ValueError(f"{part.name} does not take these arguments: {str(error).rpartition('() ')[2]}{hint}") from error


def _hint(name: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, choices, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _explain(item: Any, section: type[BaseModel], told: Sequence[str]) -> str:
    where = "".join(f"{part}." for part in item["loc"])
    by_setting = any(where.startswith(f"{key}.") or f"{key}.".startswith(where) for key in told)
    place = f"{'--set ' if by_setting else ''}{where[:-1]}: " if where else ""
    if item["type"] != "extra_forbidden":
        return place + item["msg"].removeprefix("Value error, ")
    for part in item["loc"][:-1]:
        annotation = section.model_fields[str(part)].annotation if str(part) in section.model_fields else None
        kinds = (kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, BaseModel))
        section = next(kinds, Optimiser)
    return f"{place}there is no such key{_hint(str(item['loc'][-1]), section.model_fields)}"
