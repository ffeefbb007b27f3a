"""The one training loop. It knows players, batches and losses, and nothing of what a system does with them."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from filelock import FileLock, Timeout
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from PIL import Image
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer, RMSprop
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from translate.gan.adversary import Adversary
from translate.gan.stabilisers import EMA
from translate.models import System
from translate.training import checkpoint
from translate.training.evaluate import Judge
from translate.training.recipe import Recipe


class Status(NamedTuple):
    """What the loop tells the outside after each step."""

    step: int
    losses: Mapping[str, float]


class Task(Protocol):
    """What is trained on."""

    @property
    def start_worker(self) -> Callable[[int], None] | None:
        """Called in each process that reads data."""

    def dataset(self) -> Dataset[Any]:
        """Endless: its sample is a function of the index alone."""

    def judge(self) -> Judge: ...


def fit(recipe: Recipe, run: Path, task: Task, report: Callable[[Status], None] = lambda status: None) -> Path:
    """Trains until `recipe.steps`, from the latest checkpoint in `run` if there is one, and returns the best checkpoint."""
    try:
        with FileLock(run / ".lock", timeout=0):
            return _fit(recipe, run, task, report)
    except Timeout:
        raise ValueError(f"{run} is being trained by another process; wait for it, or choose another --out") from None


def _fit(recipe: Recipe, run: Path, task: Task, report: Callable[[Status], None]) -> Path:
    fabric = launcher(recipe)
    model = recipe.build()
    if recipe.start:
        checkpoint.load_generator(model.translator, recipe.start)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    model = model.to(fabric.device)
    ema = EMA(model.translator, recipe.ema)
    optimisers = _optimisers(recipe, model, fabric.device)
    state: dict[str, Any] = {"best": None}
    if (found := checkpoint.latest(run)) is not None:
        state = checkpoint.load(found, model, ema, optimisers)
        _tell_best(run, state)  # a kill may have come between the checkpoint and this
    first = int(state.get("step", 0))
    if first >= recipe.steps:
        return _best(run, state)

    judge = task.judge()
    if judge.measures and recipe.select and recipe.select not in judge.measures:
        raise ValueError(f"select = {recipe.select!r} is not measured on this data; choose from {', '.join(judge.measures)}")
    batches = _batches(recipe, task.dataset(), first, task.start_worker)
    with SummaryWriter(str(run / "tensorboard"), purge_step=first) as board, _Log(run / "metrics.jsonl", board, first) as log:
        for step in range(first, recipe.steps):
            batch = _to(next(batches), fabric.device, recipe.channels_last)
            losses = _step(recipe, fabric, model, optimisers, batch, step)
            done = step + 1
            if done % recipe.optimisers["generator"].every == 0:
                ema.update(model.translator, done)
            report(Status(done, losses))
            if done % recipe.log_every == 0:
                log.write(done, losses | {"lr": recipe.optimisers["generator"].learning_rate(step, recipe.steps)})
            last = done == recipe.steps
            if judge.measures and (last or done % recipe.validate_every == 0):
                scores = judge.scores(model, ema.network, fabric.device)
                log.write(done, scores)
                sheet = judge.sheet(model, ema.network, fabric.device)
                (run / "previews").mkdir(exist_ok=True)
                Image.fromarray(sheet).save(run / "previews" / f"{done:08d}.png")
                board.add_image("previews", sheet, done, dataformats="HWC")
                score = scores[recipe.select] if recipe.select else done
                if state["best"] is None or score > state["best"]["score"]:
                    state["best"] = {"step": done, "score": score, "scores": scores}
            improved = state["best"] is not None and state["best"]["step"] == done
            if last or improved or done % recipe.checkpoint_every == 0:
                checkpoint.save(run, done, model, ema, optimisers, state)
                _tell_best(run, state)
                checkpoint.prune(run, recipe.keep, state["best"] and state["best"]["step"])
    return _best(run, state | {"step": recipe.steps})


def launcher(recipe: Recipe) -> Fabric:
    """Device and precision of a run. Raises `ValueError` where this machine does not have them."""
    try:
        return Fabric(accelerator=recipe.device, devices=1, precision=recipe.precision)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise ValueError(f"device = {recipe.device!r} cannot be used: {error}") from error


def _tell_best(run: Path, state: Mapping[str, Any]) -> None:
    if state["best"] is not None:
        checkpoint.write_atomically(run / "best.json", json.dumps(state["best"], indent=1))


def _step(
    recipe: Recipe, fabric: Fabric, model: System, optimisers: Mapping[str, Optimizer], batch: Any, step: int
) -> dict[str, float]:
    """One move of every player whose turn it is, on the same batch and on fakes of the generator as it was."""
    logged: dict[str, float] = {}
    with fabric.autocast():
        out = model(batch)
    for player, module in model.players.items():
        if (step + 1) % recipe.optimisers[player].every:
            continue
        with fabric.autocast():
            losses = model.losses(player, batch, out)
        if not losses:  # it waits, as a generator does while its critic is trained in advance
            continue
        total = sum(losses.values(), start=torch.zeros((), device=fabric.device))
        if not torch.isfinite(total):
            raise FloatingPointError(f"step {step + 1}: the loss of the {player} is {total.item()} ({_plain(losses)})")
        optimiser = optimisers[player]
        for group in optimiser.param_groups:
            group["lr"] = recipe.optimisers[player].learning_rate(step, recipe.steps)
        optimiser.zero_grad()
        fabric.backward(total)
        if recipe.clip:
            nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
        optimiser.step()
        for part in module.modules():
            if isinstance(part, Adversary):
                part.after_step()
        logged |= {f"{player}/{name}": value for name, value in _plain(losses).items()}
    return logged


def _optimisers(recipe: Recipe, model: System, device: torch.device) -> dict[str, Optimizer]:
    made: dict[str, Optimizer] = {}
    for player, module in model.players.items():
        options = recipe.optimisers[player]
        if options.algorithm == "rmsprop":
            made[player] = RMSprop(module.parameters(), options.lr, options.betas[1], weight_decay=options.weight_decay)
        else:
            made[player] = AdamW(
                module.parameters(), options.lr, options.betas, weight_decay=options.weight_decay, fused=device.type != "mps"
            )
    return made


class _Endless:
    """Indices from `first` on, as a sampler: what was drawn before a resume is not drawn again."""

    def __init__(self, first: int, end: int) -> None:
        self.first, self.end = first, end

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.end))

    def __len__(self) -> int:
        return self.end - self.first


def _batches(recipe: Recipe, data: Dataset[Any], step: int, start_worker: Callable[[int], None] | None) -> Iterator[Any]:
    if start_worker:
        start_worker(0)  # here as well: a fork beside OpenCV's threads would never come to work
    sampler = _Endless(step * recipe.batch, recipe.steps * recipe.batch)
    # Forked workers share the decoded pictures with this process instead of copying them.
    # macOS has fork but its libraries do not survive it; Windows has none.
    context = "fork" if recipe.workers and sys.platform == "linux" else None
    loader = DataLoader(
        data,
        recipe.batch,
        sampler=sampler,
        num_workers=recipe.workers,
        worker_init_fn=start_worker,
        multiprocessing_context=context,
        prefetch_factor=4 if recipe.workers else None,
        generator=torch.Generator(),  # its own, so that starting it draws nothing from the model's
        collate_fn=_as_it_is if hasattr(data, "__getitems__") else None,  # some draw whole batches
    )
    return iter(loader)


def _as_it_is(batch: Any) -> Any:
    return batch


def _to(batch: Any, device: torch.device, channels_last: bool) -> Any:
    memory = torch.channels_last if channels_last else torch.preserve_format
    # Only pictures have channels to put last
    formats = (memory if tensor.dim() == 4 else torch.preserve_format for tensor in batch)
    return type(batch)(*(t.to(device, memory_format=f, non_blocking=True) for t, f in zip(batch, formats, strict=True)))


def _plain(losses: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in losses.items()}


def _best(run: Path, state: Mapping[str, Any]) -> Path:
    return checkpoint.folder(run, state["best"]["step"] if state["best"] else state["step"])


class _Log:
    """Numbers as JSON lines and in TensorBoard. What a killed run logged past its last checkpoint is cut off first."""

    def __init__(self, path: Path, board: SummaryWriter, step: int) -> None:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        kept = [line for line in lines if _step_of(line) <= step]
        checkpoint.write_atomically(path, "".join(f"{line}\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")
        self._board = board

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"step": step} | {name: round(value, 6) for name, value in values.items()}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:  # a line that a full disk or a power cut left half written
        return math.inf
