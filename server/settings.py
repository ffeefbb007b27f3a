"""Everything the server can be told, each from an environment variable `TRANSLATE_…`."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from translate.runtime.picture import DEFAULT_MAX_PIXELS

PREFIX = "TRANSLATE_"
HOST = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """Settings of one server. The description of each field is what `translate-serve --help` prints."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 serves every network that this machine is in.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    weights: Annotated[tuple[Path, ...], NoDecode] | None = Field(
        None, description=f"Folders of .onnx translators, separated by '{os.pathsep}'. Unset: those that come with the program."
    )
    model: str = Field("restore", description="Name of the model that is loaded at start and used where a request names none.")
    preload: Names = Field((), description="Names of more models to load at start, separated by ','; others at their first use.")
    keep: int = Field(4, ge=1, description="Models in memory; beyond, the least recently used is let go.")
    device: Literal["cpu", "cuda", "openvino", "openvino-bf16"] = Field(
        "cpu",
        description="Where networks run: cpu, cuda, or the processor by OpenVINO, as openvino or openvino-bf16. "
        "Never falls back in silence.",
    )
    threads: int | None = Field(None, ge=1, description="Threads inside one network. Unset: every CPU that this process may use.")
    workers: int | None = Field(
        None, ge=1, description="Pictures worked on at the same time. Unset: one for each CPU, from 2 to 8."
    )
    queue: int = Field(8, ge=0, description="Pictures that may wait for a worker; one more is answered 503 at once.")
    timeout: float = Field(
        300.0, gt=0, allow_inf_nan=False, description="Seconds a picture may take, waiting included, before 504."
    )
    upload_timeout: float = Field(60.0, gt=0, allow_inf_nan=False, description="Seconds an upload may take before 408.")
    max_bytes: int = Field(128 * 2**20, ge=1, description="Bytes of an upload; more is answered 413.")
    max_pixels: int = Field(DEFAULT_MAX_PIXELS, ge=1, description="Pixels of a picture, width × height; more is answered 413.")
    hosts: Names = Field(
        (), description="Host names it answers to, separated by ','; '.example.org' for all below it, '*' for any. IP addresses "
        "and names without a dot always are."
    )  # fmt: skip
    origins: Names = Field(
        (), description="Other sites whose pages may use it (CORS), as https://example.org, separated by ','; '*' for any."
    )
    keys: Path | None = Field(
        None, description="File of API keys, one in a line, read again when it changes. Unset: none is asked for."
    )
    rate: str | None = Field(
        None,
        description="Pictures for each key, or for each address where there are no keys, as 60/minute; more are answered 429.",
    )
    log: Literal["text", "json"] | None = Field(
        None, description="Form of the log on stderr: text or json. Unset: text on a terminal, else json."
    )
    traces: str | None = Field(
        None, description="OpenTelemetry collector for traces, as http://127.0.0.1:4318/v1/traces; needs the extra otel."
    )

    @field_validator("weights", mode="before")
    @classmethod
    def _split_folders(cls, value: object) -> object:
        return [part for part in value.split(os.pathsep) if part] or None if isinstance(value, str) else value

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, separator, host = origin.partition("://")
            if origin != "*" and (scheme not in ("http", "https") or not separator or not host or "/" in host):
                raise ValueError(f"{origin!r} is no origin: write scheme and host alone, as https://example.org")
        return origins

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if host != "*" and not HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host name: write the name alone, as translate.example.org or .example.org")
        return hosts

    @field_validator("rate")
    @classmethod
    def _is_a_rate(cls, rate: str | None) -> str | None:
        if rate is not None:
            from server.access import Rate  # it takes a while to import, and few set it

            Rate(rate)
        return rate

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.keep < len({self.model, *self.preload}):
            raise ValueError(f"TRANSLATE_KEEP={self.keep} is less than the models to load at start")
        return self


def describe() -> list[tuple[str, str, str]]:
    """(variable, default, description) of every setting, in order."""
    return [
        (PREFIX + name.upper(), "" if field.default in (None, ()) else str(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
