"""Checkpoints: one folder per step, written whole or not at all, without pickle."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from translate.gan.stabilisers import EMA
from translate.models import System


def save(run: Path, step: int, model: System, ema: EMA, optimisers: dict[str, Optimizer], state: dict[str, Any]) -> Path:
    """Writes `run`/checkpoints/<step, 8 digits>: weights, ema and optimizer as safetensors, and state.json."""
    target = folder(run, step)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _save_tensors(model.state_dict(), partial / "weights.safetensors")
    _save_tensors(ema.network.state_dict(), partial / "ema.safetensors")
    tensors = {"rng": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["rng-cuda"] = torch.cuda.get_rng_state()
    for name, optimiser in optimisers.items():
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in values.items()}
    _save_tensors(tensors, partial / "optimizer.safetensors")
    write_atomically(partial / "state.json", json.dumps(state | {"step": step}, indent=1))
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    _sync(target.parent)
    return target


def load(path: Path, model: System, ema: EMA, optimisers: dict[str, Optimizer]) -> dict[str, Any]:
    """Restores everything that `save` wrote and returns the state."""
    model.load_state_dict(load_file(path / "weights.safetensors"))
    ema.network.load_state_dict(load_file(path / "ema.safetensors"))
    tensors = load_file(path / "optimizer.safetensors")
    torch.set_rng_state(tensors.pop("rng"))
    cuda = tensors.pop("rng-cuda", None)
    if cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(cuda)
    for name, optimiser in optimisers.items():
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            owner, index, field = key.split("/")
            if owner == name:
                parameter = parameters[int(index)]
                # Fused optimisers walk through memory side by side, so moments must lie as their weights do.
                moment = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
                state.setdefault(int(index), {})[field] = moment
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return dict(json.loads((path / "state.json").read_text(encoding="utf-8")))


def latest(run: Path) -> Path | None:
    """The newest complete checkpoint of a run; incomplete ones are passed over."""
    for path in sorted((run / "checkpoints").glob("[0-9]" * 8), reverse=True):
        if _readable(path):
            return path
    return None


def folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"{step:08d}"


def prune(run: Path, keep: int, best: int | None) -> None:
    """Deletes all checkpoints but the newest `keep` and the best."""
    for path in sorted((run / "checkpoints").glob("[0-9]" * 8), reverse=True)[keep:]:
        if int(path.name) != best:
            shutil.rmtree(path)


def generator_weights(source: str | Path) -> dict[str, Tensor]:
    """The averaged generator of a run folder (its best checkpoint, else its latest), of a checkpoint, or of a file."""
    path = Path(source)
    if (path / "checkpoints").is_dir():
        best = path / "best.json"
        chosen = folder(path, json.loads(best.read_text())["step"]) if best.is_file() else latest(path)
        if chosen is None:
            raise ValueError(f"{path} holds no complete checkpoint")
        path = chosen
    path = path / "ema.safetensors" if path.is_dir() else path
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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces the file in one step, so that a reader never sees half of it."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


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


def _readable(path: Path) -> bool:
    try:
        json.loads((path / "state.json").read_text(encoding="utf-8"))
        for name in ("weights", "ema", "optimizer"):
            load_file(path / f"{name}.safetensors")
    except (OSError, ValueError, SafetensorError):
        return False
    return True
