"""Card: what a translator says about itself, inside its `.onnx` file."""

import re
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from translate.runtime.errors import InvalidModel

METADATA_KEY = "translate.card"
STAGES_KEY = "translate.stages"
FORMAT: Final = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Names that are safe in a URL, in a file name and in a metric's label."""
LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Shares of red, green and blue in a grey value (Rec. 709): of grey pictures, and for networks that take or give grey alone."""


Content = TypeVar("Content", bound=BaseModel)


class Noise(BaseModel):
    """The second input of a translator with noise: float32 `[N, ceil(H / every), ceil(W / every), channels]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    distribution: Literal["normal", "uniform"]
    """`normal`: mean 0, variance 1. `uniform`: from -1 to 1."""
    channels: int = Field(ge=1)
    every: int = Field(default=1, ge=1)
    """One noise vector for each square of this many pixels."""


class Stage(BaseModel):
    """From values that were kept to the input of one normalisation. Values are maps `[1, C, H / reduction, W / reduction]` of
    the picture, padded to a multiple of the stride; they are given by their names in the graph."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: dict[str, int] = {}
    """What is read, and its reduction; nothing but the picture where it is empty."""
    keep: dict[str, int] = {}
    """What later stages start from, and its reduction; those after this one start where it did, if it is empty."""
    norm: str
    """What the normalisation takes its statistics of, channel by channel."""
    reduction: int = Field(ge=1)
    """Of the norm's input."""
    halo: int = Field(ge=0)
    """Pixels around a tile that the stage looks at."""


class Stages(BaseModel):
    """How the statistics of a picture are taken norm by norm: JSON under `translate.stages`, for `tiling` `statistics`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: list[Stage] = Field(min_length=1)
    held: float = Field(ge=0)
    """Most numbers for each pixel of the picture that are kept at a time."""
    widest: float = Field(gt=0)
    """Numbers for each pixel that the largest value of the network has."""

    def names(self) -> set[str]:
        """Of all values at which the graph is cut."""
        return {name for stage in self.stages for name in (*stage.start, *stage.keep, stage.norm)}


class Precision(BaseModel):
    """What the numbers of a file are that was converted from a float32 one, and how near to that one's pictures its own come."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["fp16", "int8"]
    psnr: float
    """Mean over pictures, in dB; 99 for equal ones."""
    worst: float
    """Of the picture that fared worst, in dB."""
    measured_on: str
    layers: str
    """Which of them it concerns."""


class Card(BaseModel):
    """The contract between training and serving, stored as JSON under `translate.card` in the ONNX metadata.

    Input `image` and output `translated` are float32 `[N, H, W, 3]`, sRGB, 0..1; the output is `scale` times larger.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = FORMAT
    name: str
    """As it was exported, which is its file's name then. A renamed file is found by its new name."""
    version: str = "1"
    task: str
    """What it does, in a few words: `restoration`, `facades`, …"""
    source: str
    """Domain of the input pictures."""
    target: str
    """Domain of the output pictures."""
    scale: Annotated[int, Field(ge=1, le=8)] = 1
    reach: Annotated[int, Field(ge=0)] = 0
    """Pixels of context, on each side, on which one output pixel depends, where statistics are given if they can be."""
    stride: Annotated[int, Field(ge=1)] = 1
    """The network commutes only with shifts by multiples of this, so tiles start at its multiples."""
    tiling: Literal["exact", "statistics", "whole"] = "whole"
    """`exact`: tiles that overlap by `reach` equal the whole. `statistics`: so they do where each is given the statistics of
    the whole. `whole`: the picture must be given in one piece."""
    size: Annotated[int, Field(ge=1)]
    """Side of the training pictures, in pixels."""
    noise: Noise | None = None
    precision: Precision | None = None
    """None: float32 throughout."""
    metrics: dict[str, float] = {}
    test_set: str = ""
    """What the metrics were measured on."""
    data: list[str] = []
    """What it was trained on."""
    licence: str = ""
    """Licence of the weights: their data's, not the code's."""
    recipe: dict[str, object] = {}
    """The resolved recipe of the training run."""
    seed: int = 0
    commit: str = ""
    """Commit of the code that trained it."""

    @field_validator("name")
    @classmethod
    def _is_plain(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(
                "a name holds 1 to 64 lower-case letters, digits, '.', '_' and '-', and starts with a letter or digit"
            )
        return name

    @model_validator(mode="after")
    def _tiles_stay_aligned(self) -> Self:
        if self.noise is not None and self.stride % self.noise.every:
            raise ValueError(
                f"stride {self.stride} is no multiple of noise.every {self.noise.every}: tiles would shift the noise"
            )
        return self

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], where: str) -> "Card":
        """Reads the card out of an ONNX file's metadata. `where` names the file in errors.

        Raises `InvalidModel` where there is no card or a card of another format.
        """
        return _read(cls, METADATA_KEY, "card", metadata, where)


def read_stages(metadata: dict[str, str], where: str) -> Stages:
    """The stages of a file whose card says `tiling` `statistics`. Raises `InvalidModel` where it holds none that can be read."""
    return _read(Stages, STAGES_KEY, "plan of stages", metadata, where)


def _read(kind: type[Content], key: str, what: str, metadata: dict[str, str], where: str) -> Content:
    text = metadata.get(key)
    if text is None:
        raise InvalidModel(f"{where} holds no '{key}' metadata: it was not exported by translate-export or translate-train")
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise InvalidModel(f"{where} holds a {what} that this version cannot read (it reads format {FORMAT}): {error}") from error
