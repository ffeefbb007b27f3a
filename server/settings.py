"""Everything the server can be told, each from an environment variable `TRANSLATE_…`."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from translate.runtime.picture import DEFAULT_MAX_PIXELS

PREFIX = "TRANSLATE_"


class Settings(BaseSettings):
    """Settings of one server. The description of each field is what `translate-serve --help` prints."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 serves every network that this machine is in.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    weights: Annotated[tuple[Path, ...], NoDecode] | None = Field(
        None, description=f"Folders of .onnx translators, separated by '{os.pathsep}'. Unset: those that come with the program."
    )
    model: str = Field("restore", description="Name of the model that is loaded at start and used where a request names none.")
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where networks run: cpu or cuda. Never falls back in silence.")
    threads: int | None = Field(None, ge=1, description="Threads inside one network. Unset: every CPU that this process may use.")
    workers: int = Field(2, ge=1, description="Pictures worked on at the same time.")
    queue: int = Field(8, ge=0, description="Pictures that may wait for a worker; one more is answered 503 at once.")
    timeout: float = Field(300.0, gt=0, description="Seconds a picture may take, waiting included, before 504.")
    upload_timeout: float = Field(60.0, gt=0, description="Seconds an upload may take before 408.")
    max_bytes: int = Field(128 * 2**20, ge=1, description="Bytes of an upload; more is answered 413.")
    max_pixels: int = Field(DEFAULT_MAX_PIXELS, ge=1, description="Pixels of a picture, width × height; more is answered 413.")

    @field_validator("weights", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part for part in value.split(os.pathsep) if part] or None if isinstance(value, str) else value


def describe() -> list[tuple[str, str, str]]:
    """(variable, default, description) of every setting, in order."""
    return [
        (PREFIX + name.upper(), "" if field.default is None else str(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
