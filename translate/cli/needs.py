"""What to say when a command needs packages that are not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def train_extra() -> Iterator[None]:
    """Around the imports of a command that trains: a missing package ends it with what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("translate", "server"):
            raise
        sys.stderr.write(
            f"error: training, export and evaluation need packages that are not installed (no {error.name}): "
            "run `make venv` in a checkout, or pip install 'image-translate[train]'\n"
        )
        raise typer.Exit(1) from None
