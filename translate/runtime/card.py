"""Card: what a translator says about itself, inside its `.onnx` file."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from translate.runtime.errors import InvalidModel

METADATA_KEY = "translate.card"
FORMAT: Final = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Names that are safe in a URL, in a file name and in a metric's label."""
LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Shares of red, green and blue in a grey value (Rec. 709): of grey pictures, and for networks that take or give grey alone."""


class Noise(BaseModel):
    """The second input of a translator with noise: float32 `[N, ceil(H / every), ceil(W / every), channels]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    distribution: Literal["normal", "uniform"]
    """`normal`: mean 0, variance 1. `uniform`: from -1 to 1."""
    channels: int = Field(ge=1)
    every: int = Field(default=1, ge=1)
    """One noise vector for each square of this many pixels."""


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
    """Pixels of context, on each side, on which one output pixel depends."""
    stride: Annotated[int, Field(ge=1)] = 1
    """The network commutes only with shifts by multiples of this, so tiles start at its multiples."""
    tiling: Literal["exact", "whole"] = "whole"
    """`exact`: tiles that overlap by `reach` equal the whole. `whole`: the picture must be given in one piece."""
    size: Annotated[int, Field(ge=1)]
    """Side of the training pictures, in pixels."""
    noise: Noise | None = None
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
        text = metadata.get(METADATA_KEY)
        if text is None:
            raise InvalidModel(
                f"{where} holds no '{METADATA_KEY}' metadata: it was not exported by translate-export or translate-train"
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidModel(
                f"{where} holds a card that this version cannot read (it reads format {FORMAT}): {error}"
            ) from error
