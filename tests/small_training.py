"""Settings that make a recipe small enough for a test, and what runs are held to."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file

from translate.training import checkpoint
from translate.training.run import create, resume_run, train

SMALL = (
    "steps=6",
    "batch=2",
    "data.size=32",
    "generator.width=4",
    "generator.blocks=[1, 1]",
    "critic.network.width=4",
    "workers=0",
    "log_every=1",
    "checkpoint_every=2",
    "validate_every=3",
    "precision=32-true",
    "device=cpu",
    "data.holdout=0.3",
)

TINY = (
    "steps=6",
    "log_every=1",
    "checkpoint_every=2",
    "validate_every=6",
    "device=cpu",
    "precision=32-true",
    "workers=0",
    "data.size=16",
    "data.load=20",
    "data.holdout=0.3",
    "critic.network.width=4",
    "critic.network.layers=1",
    "generator.width=4",
)
"""The same for recipes of two kinds of pictures."""


def stop_and_compare(recipe: str, data: Path | None, folder: Path, settings: Sequence[str]) -> None:
    """Six steps in one go, and six that were stopped after the third and resumed, end with the same bits."""
    train(create(recipe, data, folder / "whole", list(settings)), lambda *_: None)

    def stop(step: int, _: object) -> None:
        if step == 3:
            raise KeyboardInterrupt

    stopped = create(recipe, data, folder / "stopped", list(settings))
    with pytest.raises(KeyboardInterrupt):
        train(stopped, stop)
    assert checkpoint.latest(stopped.folder) == checkpoint.folder(stopped.folder, 2)
    train(resume_run(stopped.folder), lambda *_: None)
    for kept in ("weights", "ema", "optimizer"):
        one, other = (load_file(checkpoint.folder(folder / run, 6) / f"{kept}.safetensors") for run in ("whole", "stopped"))
        assert one.keys() == other.keys()
        assert all(one[key].equal(other[key]) for key in one), kept
    logs = [(folder / run / "metrics.jsonl").read_text() for run in ("whole", "stopped")]
    assert logs[0] == logs[1]


def launched(monkeypatch: pytest.MonkeyPatch, rank: int, world: int, local: int) -> None:
    """As torchrun starts a process: one of `world`, of which `local` run on this machine."""
    told = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": local, "RANK": rank}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
