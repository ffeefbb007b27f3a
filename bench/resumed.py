"""Runs of benchmarks: gone on with where they were stopped."""

from collections.abc import Sequence
from pathlib import Path

from translate.training.recipe import Recipe
from translate.training.run import Run, create, resume_run

SETTLED = {"about", "precision"}
"""What a run itself decides."""


def begun(recipe: str, data: Path | None, folder: Path, settings: Sequence[str] = ()) -> Run:
    """The run in `folder`, or a new one of the recipe. Raises `SystemExit` where the folder holds another recipe's."""
    if not (folder / "recipe.toml").is_file():
        return create(f"{recipe}.toml", data, folder, list(settings))
    run = resume_run(folder)
    if run.recipe.model_dump(exclude=SETTLED) != Recipe.load(f"{recipe}.toml", settings).model_dump(exclude=SETTLED):
        raise SystemExit(f"{folder} was trained by another recipe: remove it, and it is trained again")
    return run
