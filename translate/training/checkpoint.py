"""Checkpoints: one folder per step, written whole or not at all, with a checksum of each file and without pickle."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from translate.gan.stabilisers import EMA
from translate.models import System
from translate.training.shards import like, whole

SUMS = "SHA256SUMS"
"""In a checkpoint's folder, as `sha256sum --check` reads it."""

Tensors = dict[str, dict[str, Tensor]]
"""A checkpoint's tensors, by the name of their file and their own."""
Private = Mapping[str, Tensor]
"""What a process has for itself: its random numbers, and the pictures of its pools."""


def tensors(model: System, ema: EMA, optimisers: Mapping[str, Optimizer], keep: bool = True) -> Tensors:
    """What `save` writes of one process. Where weights are shared out all processes have to call it, those that do not `keep`
    them for nothing."""
    moments = {
        f"{name}/{index}/{key}": torch.as_tensor(value)
        for name, optimiser in optimisers.items()
        for index, values in optimiser.state_dict()["state"].items()
        for key, value in values.items()
    }
    found = {"weights": model.state_dict(), "ema": ema.network.state_dict(), "optimizer": moments}
    kept: Tensors = {file: {} for file in found}
    for file, named in found.items():
        for name, tensor in named.items():
            together = whole(tensor)
            if keep:
                kept[file][name] = together.detach().cpu()
    kept["optimizer"] |= _random_numbers()
    return kept


def save(
    run: Path,
    step: int,
    tensors: Tensors,
    state: Mapping[str, Any],
    others: Sequence[Private] = (),
    below: str = "checkpoints",
    batches: Sequence[Any] = (),
) -> Path:
    """Writes `run`/checkpoints/<step, 8 digits>: weights, ema and optimizer as safetensors, state.json and `SUMS`; with `others`,
    the `private` of the processes beside this one, also processes.safetensors, and with `batches` batch.safetensors.

    Raises `OSError`, in words, where that cannot be written; no part of it is left then, and older ones stand.
    """
    target = folder(run, step, below)
    partial = target.with_name(f".{target.name}.partial")
    for left in target.parent.glob(".*.partial"):  # by a kill
        shutil.rmtree(left)
    try:
        partial.mkdir(parents=True)
        for file, named in tensors.items():
            _save_tensors(named, partial / f"{file}.safetensors")
        if others:
            theirs = {f"{rank}/{name}": value for rank, own in enumerate(others, 1) for name, value in own.items()}
            _save_tensors(theirs, partial / "processes.safetensors")
        if batches:
            fields = {f"{k}/{name}": value for k, batch in enumerate(batches) for name, value in batch._asdict().items()}
            _save_tensors(fields, partial / "batch.safetensors")
        write_atomically(partial / "state.json", json.dumps({**state, "step": step}, indent=1))
        sums = [f"{_digest(path)}  {path.name}\n" for path in sorted(partial.iterdir())]
        write_atomically(partial / SUMS, "".join(sums))
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
        _sync(target.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)  # a full disk needs the room
        raise OSError(f"{target} cannot be written: {error}") from error
    return target


def private(model: System) -> Private:
    """What differs between the processes that train one model: random numbers, and what modules keep beside their tensors."""
    kept = {name: value.cpu() for name, value in model.state_dict().items() if name.endswith("_extra_state")}
    return kept | _random_numbers()


def load(path: Path, model: System, ema: EMA, rank: int = 0) -> dict[str, Any]:
    """Restores what `save` wrote for process `rank`, but for `load_moments`, and returns the state.

    A process that was not there when it was written gets the first one's; its random numbers then have to be made others.
    """
    weights, mine = load_file(path / "weights.safetensors"), _read(path / "optimizer.safetensors", "rng")
    if rank and (path / "processes.safetensors").is_file():
        own = _read(path / "processes.safetensors", f"{rank}/")
        theirs = {name.partition("/")[2]: value for name, value in own.items()}
        mine |= {name: value for name, value in theirs.items() if name.startswith("rng")}
        weights |= {name: value for name, value in theirs.items() if name in weights}
    model.load_state_dict(weights)
    ema.network.load_state_dict(load_file(path / "ema.safetensors"))
    torch.set_rng_state(mine["rng"])
    if "rng-cuda" in mine and torch.cuda.is_available():
        torch.cuda.set_rng_state(mine["rng-cuda"])
    return dict(json.loads((path / "state.json").read_text(encoding="utf-8")))


def load_moments(path: Path, optimisers: Mapping[str, Optimizer]) -> None:
    """What the optimisers had gathered when `save` wrote `path`; all or a part of it, as their parameters are."""
    for player, optimiser in optimisers.items():
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _read(path / "optimizer.safetensors", f"{player}/").items():
            _, index, field = name.split("/")
            parameter = parameters[int(index)]
            # Fused optimisers walk through memory side by side, so moments must lie as their weights do.
            state.setdefault(int(index), {})[field] = like(parameter, value) if value.shape == parameter.shape else value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def latest(run: Path) -> Path | None:
    """The newest checkpoint of a run that is whole. Those that are not are passed over, and said to be damaged."""
    found, log = sorted((run / "checkpoints").glob("[0-9]" * 8), reverse=True), logging.getLogger(__name__)
    for path in found:
        if (wrong := damage(path)) is None:
            return path
        log.warning("%s is passed over: %s", path, wrong)
    if found:
        log.warning("no checkpoint of %s is whole", run)
    return None


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's files, in words; nothing where they are as they were written."""
    try:
        lines = (path / SUMS).read_text(encoding="utf-8").splitlines()
        for digest, _, name in (line.partition("  ") for line in lines):
            if _digest(path / name) != digest:
                return f"{name} is not as it was written (its checksum differs)"
        missing = {"weights.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json"} - {
            line.partition("  ")[2] for line in lines
        }
        return f"{SUMS} does not name {', '.join(sorted(missing))}" if missing else None
    except (OSError, ValueError, SafetensorError) as error:
        return f"it cannot be read: {error}"


def folder(run: Path, step: int, below: str = "checkpoints") -> Path:
    return run / below / f"{step:08d}"


def prune(run: Path, keep: int, best: int | None) -> None:
    """Deletes all checkpoints but the newest `keep` and the best."""
    for path in sorted((run / "checkpoints").glob("[0-9]" * 8), reverse=True)[keep:]:
        if int(path.name) != best:
            shutil.rmtree(path)


def generator_weights(source: str | Path) -> dict[str, Tensor]:
    """The averaged generator of a run folder (its best checkpoint, else its latest), of a checkpoint, or of a file."""
    path, otherwise = Path(source), ""
    if (path / "checkpoints").is_dir():
        best = path / "best.json"
        chosen = folder(path, read_json(best)["step"]) if best.is_file() else latest(path)
        if chosen is None:
            raise ValueError(f"{path} holds no complete checkpoint")
        if best.is_file():
            otherwise = f". Without {best}, translate-export takes the newest checkpoint that is whole"
        path = chosen
    if path.is_dir():
        if (wrong := damage(path)) is not None:
            raise ValueError(f"{path}: {wrong}{otherwise}")
        path = path / "ema.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as generator weights: {error}") from error


def load_generator(network: nn.Module, source: str | Path) -> None:
    """Fills `network` with `generator_weights`. Raises `ValueError` where they are of another network."""
    try:
        network.load_state_dict(generator_weights(source))
    except RuntimeError as error:
        raise ValueError(f"the weights of {source} are of another network than this recipe's generator") from error


def read_json(path: Path) -> Any:
    """Raises `ValueError` naming a file that is cut short."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces the file in one step, so that a reader never sees half of it."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _random_numbers() -> dict[str, Tensor]:
    """Where this process's generators stand."""
    return {"rng": torch.get_rng_state()} | ({"rng-cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _read(path: Path, begin: str) -> dict[str, Tensor]:
    """Those tensors of a file whose names begin so."""
    with safe_open(path, "pt") as file:
        names = [name for name in file.keys() if name.startswith(begin)]  # noqa: SIM118 - the file is no mapping
        return {name: file.get_tensor(name) for name in names}


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    # The memory format is the trainer's choice of the day; on disk every tensor lies in its plain order.
    try:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:  # a full disk, say
        raise OSError(f"{path} cannot be written: {error}") from error
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
