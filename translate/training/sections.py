"""The sections of a recipe, one table of its TOML each."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Depth = Literal[1, 3]
TRANSLATED = ("paired", "aligned", "unpaired")
"""Kinds of data that make translators."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Part(BaseModel):
    """A named building block; the keys beside `name` are its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        return {key: tuple(value) if isinstance(value, list) else value for key, value in (self.model_extra or {}).items()}


class About(Section):
    """What the exported file's card says."""

    task: str
    source: str
    target: str
    data: list[str] = []
    licence: str = ""


class Data(Section):
    """What is learned from. Folders are relative to `--data`; those that are missing are left out."""

    kind: Literal["paired", "aligned", "unpaired", "ring", "grid", "digits", "mnist"] = "paired"
    """Photographs and `paired` damaged ones, `aligned` pairs of two kinds of pictures, or two kinds `unpaired`; or samples for a
    generative system: a `ring` of 8 or a `grid` of 25 Gaussians, the `digits` of scikit-learn, `mnist` from `--data`."""
    clean: list[str] = []
    """Folders of clean photographs, damaged on the fly."""
    pairs: list[str] = []
    """Folders of joined pictures, or with A/ and B/ in them."""
    overlays: list[str] = []
    """Folders of RGBA marks."""
    target_first: bool = False
    """The target is what comes first: the left half, the first folder, the first path of a line."""
    size: Count = 192
    """Side of the training crops, in pixels."""
    holdout: Share = 0.1
    """Share of the files kept for validation, where no folder is."""
    upright: bool = False
    """Pairs are neither turned nor mirrored: their marks have a direction."""
    pair_share: Share = 0.4
    transplant: Share = 0.5
    untouched: Share = 0.1
    noise: Share = 0.2
    marked: Share = 0.3

    # Aligned and unpaired
    source: str = ""
    """The folder of pictures to translate from; empty: recognised."""
    target: str = ""
    """The folder of pictures to translate into; empty: recognised."""
    joined: bool = False
    """Every picture holds source and target side by side, whatever its shape."""
    channels: Depth | tuple[Depth, Depth] = 3
    """1 for grey pictures; two numbers where source and target differ. Networks follow."""
    load: Count = 286
    """The shorter side that pictures are scaled to, before crops are cut."""
    mirror: bool = True
    """Half of the crops are mirrored."""
    turn: bool = False
    """Crops are turned by quarters."""

    @property
    def sides(self) -> tuple[Depth, Depth]:
        """Channels of source and target."""
        return self.channels if isinstance(self.channels, tuple) else (self.channels, self.channels)

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Self:
        domains = ("source", "target", "joined", "channels", "load", "mirror", "turn")
        shared = ("kind", "size", "holdout")
        own = {
            "paired": [name for name in type(self).model_fields if name not in domains],
            "aligned": [*shared, "target_first", *domains],
            "unpaired": [*shared, "target_first", *domains],
        }.get(self.kind, shared)
        changed = [
            name for name, key in type(self).model_fields.items() if name not in own and getattr(self, name) != key.default
        ]
        if changed:
            raise ValueError(f"{', '.join(changed)}: without meaning for kind = {self.kind!r}")
        return self


class Critic(Section):
    network: Part
    objective: Part
    constraint: Part = Part(name="none")
    stabilisers: list[Part] = []


class Optimiser(Section):
    """The learning rate rises linearly over `warmup` steps, stays until the share `hold` of all steps is done, and then follows
    `schedule` down to `final` times its value."""

    algorithm: Literal["adamw", "rmsprop"] = "adamw"
    """AdamW is Adam where there is no weight decay; RMSprop takes the second of `betas` as its decay."""
    every: Count = 1
    """The player moves at every so many-th step: 5 for a generator whose critic moves five times as often."""
    lr: float = Field(default=2e-4, gt=0)
    betas: tuple[Decay, Decay] = (0.5, 0.999)
    weight_decay: float = Field(default=0, ge=0)
    warmup: int = Field(default=0, ge=0)
    hold: Decay = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    final: Share = 0

    def learning_rate(self, step: int, steps: int) -> float:
        """Of training step `step`, counted from 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        start = max(self.warmup, self.hold * steps)
        progress = max(0, step - start) / max(1, steps - start)
        falling = {"constant": 1.0, "linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2}[self.schedule]
        return self.lr * (self.final + (1 - self.final) * falling)
