"""The one training loop. It knows players, batches and losses, and nothing of what a system does with them."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from filelock import FileLock, Timeout
from lightning.fabric import Fabric
from PIL import Image
from torch.utils.data import Dataset

from translate.gan.stabilisers import EMA
from translate.models import System
from translate.training import checkpoint
from translate.training.batches import batches, files, joined, to
from translate.training.environment import command
from translate.training.evaluate import Judge
from translate.training.log import Log, Pace, memory
from translate.training.processes import draw_apart, gathered, launcher, same_everywhere, told_by_first
from translate.training.recipe import Recipe
from translate.training.shards import share_out, shares
from translate.training.step import Step
from translate.training.watch import Collapse, Diverged

SHOWN = 8
"""File names in the message of a run that diverged; its state.json has all."""


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
        """Endless: its sample is a function of the index alone. Its `files`, where it has that, are those of a sample's index."""

    @property
    def judge(self) -> Judge: ...


def fit(recipe: Recipe, run: Path, task: Task, report: Callable[[Status], None] = lambda status: None) -> Path:
    """Trains until `recipe.steps`, from the latest checkpoint in `run` if there is one, and returns the best checkpoint.

    Of several processes (`translate.training.processes`) only the first writes and reports. Raises `FloatingPointError` where
    losses leave the numbers, with the state before in `run`/diverged; `OSError` where something cannot be read or written.
    """
    fabric = launcher(recipe)
    if not fabric.is_global_zero:
        return _fit(fabric, recipe, run, task, report)
    try:
        with FileLock(run / ".lock", timeout=0):
            return _fit(fabric, recipe, run, task, report)
    except Timeout:
        raise ValueError(f"{run} is being trained by another process; wait for it, or choose another --out") from None
    except OSError as error:
        raise OSError(f"{error}. {_standing(run)}") from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        told = "a process that reads pictures was ended from outside, perhaps for want of memory: fewer workers take less"
        raise OSError(f"{told}. {_standing(run)}") from error


def check_select(recipe: Recipe, judge: Judge) -> None:
    """Raises `ValueError` where the best checkpoint is to be chosen by what nobody measures."""
    if judge.measures and recipe.select and recipe.select not in judge.measures:
        raise ValueError(f"select = {recipe.select!r} is not measured on this data; choose from {', '.join(judge.measures)}")


def _fit(fabric: Fabric, recipe: Recipe, run: Path, task: Task, report: Callable[[Status], None]) -> Path:
    model, leads = recipe.build(), fabric.is_global_zero
    found = told_by_first(fabric, checkpoint.latest(run) if leads else None)
    if recipe.start and found is None:
        checkpoint.load_generator(model.translator, recipe.start)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    model = model.to(fabric.device)
    ema = EMA(model.translator, recipe.ema)
    same_everywhere(fabric, model)
    state: dict[str, Any] = {"best": None}
    if found is not None:
        state = checkpoint.load(found, model, ema, fabric.global_rank)
    share_out(fabric, model, ema)
    step = Step(recipe, fabric, model)
    if found is not None:
        checkpoint.load_moments(found, step.optimisers)
        step.history.state = state.get("losses", {})
        if leads:
            _tell_best(run, state)  # a kill may have come between the checkpoint and this
    first = int(state.get("step", 0))
    draw_apart(fabric, recipe.seed, first, state.get("processes", 1))
    if first >= recipe.steps:
        return _best(run, state)

    judge = task.judge
    check_select(recipe, judge)
    data, watch, pace = task.dataset(), Collapse(model, recipe.steps), Pace()
    source = batches(recipe, data, first, task.start_worker, fabric.global_rank, fabric.world_size)
    with Log(run, first) if leads else nullcontext() as log:
        for number in range(first, recipe.steps):
            taken = [to(next(source), fabric.device, recipe.channels_last) for _ in range(recipe.accumulate)]
            watch.begin()
            try:
                losses = step(taken, number)
            except Diverged as error:
                told = _keep(error, fabric, run, step, ema, state, taken, files(data, recipe, number))
                raise FloatingPointError(f"{error}. {told}") from error
            done = number + 1
            if done % recipe.optimisers["generator"].every == 0:
                ema.update(model.translator, done)
            pace.done(recipe.samples)
            if leads:
                report(Status(done, losses))
            if log and done % recipe.log_every == 0:
                rates = {f"lr/{player}": rate for player, rate in step.rates(number).items()}
                log.measured(done, losses | rates | watch.measures())
                log.happened(done, {"pictures_per_s": pace.take()} | memory(fabric.device))
                for text in watch.warnings(done):
                    log.warned(done, text)
            last = done == recipe.steps
            pace.pause()
            if judge.measures and (last or done % recipe.validate_every == 0):
                if log or shares(fabric):
                    _validate(recipe, run, judge, model, ema, log, done, state)
                state["best"] = told_by_first(fabric, state["best"])
            improved = state["best"] is not None and state["best"]["step"] == done
            if last or improved or done % recipe.checkpoint_every == 0:
                state |= {"losses": step.history.state, "processes": fabric.world_size}
                private = gathered(fabric, checkpoint.private(model))
                tensors = checkpoint.tensors(model, ema, step.optimisers, leads)
                if leads:
                    checkpoint.save(run, done, tensors, state, private[1:])
                    _tell_best(run, state)
                    checkpoint.prune(run, recipe.keep, state["best"] and state["best"]["step"])
            pace.go()
    return _best(run, state | {"step": recipe.steps})


def _validate(
    recipe: Recipe, run: Path, judge: Judge, model: System, ema: EMA, log: Log | None, done: int, state: dict[str, Any]
) -> None:
    """Measures the averaged generator, draws its preview, and keeps in `state` what is the best so far. Without a log it only
    helps others, with whom it shares weights out, to do so."""
    device = next(ema.network.parameters()).device
    scores = judge.scores(model, ema.network, device)
    sheet = judge.sheet(model, ema.network, device)
    if log is None:
        return
    log.measured(done, scores)
    (run / "previews").mkdir(exist_ok=True)
    Image.fromarray(sheet).save(run / "previews" / f"{done:08d}.png")
    log.board.add_image("previews", sheet, done, dataformats="HWC")
    score = scores[recipe.select] if recipe.select else done
    if state["best"] is None or score > state["best"]["score"]:
        state["best"] = {"step": done, "score": score, "scores": scores}


def _keep(
    error: Diverged,
    fabric: Fabric,
    run: Path,
    step: Step,
    ema: EMA,
    state: Mapping[str, Any],
    taken: Sequence[Any],
    names: Sequence[str],
) -> str:
    """Writes what led to the error where no resume looks for it, and says so."""
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    told = f"It was learning from {shown}"
    tensors = checkpoint.tensors(step.model, ema, step.optimisers, fabric.is_global_zero)
    whole = joined(gathered(fabric, [to(batch, torch.device("cpu"), channels_last=False) for batch in taken]))
    try:
        if fabric.is_global_zero:
            what = {
                "diverged": {
                    "step": error.step,
                    "player": error.player,
                    "losses": {name: repr(loss) for name, loss in error.losses.items()},
                    "files": list(names),
                }
            }
            kept = checkpoint.save(run, error.step - 1, tensors, {**state, **what}, below="diverged", batches=whole)
            told += f"; the batch and the weights before the move lie in {kept}"
    except OSError as failed:
        told += f"; what led to it could not be kept: {failed}"
    fabric.barrier()  # the first to end would have the others ended
    return (
        f"{told}. A resumed run comes to the same point: begin again with a lower learning rate, with clip or with another seed"
    )


def _standing(run: Path) -> str:
    """What to do after an end that was not the training's fault."""
    kept = sorted(path for path in (run / "checkpoints").glob("[0-9]" * 8) if path.is_dir())
    stands = f"{kept[-1]} stands: go on from there" if kept else "there is no checkpoint yet: begin again"
    return f"{stands} with {command()} --resume {run}"


def _tell_best(run: Path, state: Mapping[str, Any]) -> None:
    if state["best"] is not None:
        checkpoint.write_atomically(run / "best.json", json.dumps(state["best"], indent=1))


def _best(run: Path, state: Mapping[str, Any]) -> Path:
    return checkpoint.folder(run, state["best"]["step"] if state["best"] else state["step"])
