"""A run folder: the resolved recipe, the data it was made from, and what became of it."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from translate.training import checkpoint, tasks
from translate.training.fit import Status, check_select, fit
from translate.training.processes import is_first, launcher, precision
from translate.training.recipe import Recipe
from translate.training.report import Reporter


@dataclass(frozen=True)
class Run:
    folder: Path
    recipe: Recipe
    task: tasks.Task


def create(recipe: str, data: Path | None, folder: Path, settings: list[str]) -> Run:
    """Makes the run folder. Raises `ValueError` where one with another content stands already."""
    resolved = Recipe.load(recipe, settings)
    task = tasks.find(resolved, data)
    if resolved.about and not resolved.about.data:
        about = resolved.about.model_copy(update={"data": [str(task)]})
        resolved = resolved.model_copy(update={"about": about})
    if (folder / "recipe.toml").exists():
        raise ValueError(f"{folder} holds a run already: go on with --resume {folder}, or choose another --out")
    # What a part, the machine or the start refuses is told before there is a folder.
    resolved = resolved.model_copy(update={"precision": precision(resolved)})
    fabric = launcher(resolved)
    model = resolved.build()
    task.check(model)
    check_select(resolved, task.judge)
    if resolved.start:
        checkpoint.load_generator(model.translator, resolved.start)
    fabric.barrier()  # of several processes all have looked now, and the first may write
    if fabric.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.write_atomically(
            folder / "data.json", json.dumps({"data": str(data.resolve()) if data else None, "found": str(task)})
        )
        checkpoint.write_atomically(folder / "recipe.toml", resolved.to_toml())
    return Run(folder, resolved, task)


def resume_run(folder: Path) -> Run:
    """Opens a run folder again, as it was made."""
    if not (folder / "recipe.toml").is_file():
        raise ValueError(f"{folder} is no run folder: it holds no recipe.toml")
    recipe = Recipe.load(folder / "recipe.toml")
    told = checkpoint.read_json(folder / "data.json")
    try:
        task = tasks.find(recipe, Path(told["data"]) if told["data"] else None)
    except ValueError as error:
        raise ValueError(f"{error} (where the pictures are stands in {folder / 'data.json'})") from error
    if (before := told.get("found", str(task))) != str(task):
        logging.getLogger(__name__).warning(
            "the pictures are others than at the beginning: %s; before: %s. The run goes on, but is no longer the one begun",
            task,
            before,
        )
    return Run(folder, recipe, task)


def train(run: Run, report: Callable[[int, dict[str, float]], None]) -> Path:
    """Trains to the end and returns the best checkpoint."""
    if not is_first():
        return fit(run.recipe, run.folder, run.task)
    with Reporter(run.folder, run.recipe) as reporter:

        def tell(status: Status) -> None:
            reporter.step(status.step)
            report(status.step, dict(status.losses))

        return fit(run.recipe, run.folder, run.task, tell)
