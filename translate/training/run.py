"""A run folder: the resolved recipe, the data it was made from, and what became of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from translate.data.damage import Damage
from translate.data.paired import Restoration, Sources, find, start_worker, validation
from translate.training import checkpoint
from translate.training.fit import fit, launcher
from translate.training.recipe import Recipe


@dataclass(frozen=True)
class Run:
    folder: Path
    recipe: Recipe
    data: Path
    sources: Sources


def create(recipe: str, data: Path, folder: Path, settings: list[str]) -> Run:
    """Makes the run folder. Raises `ValueError` where one with another content stands already."""
    resolved = Recipe.load(recipe, settings)
    sources = _sources(resolved, data)
    _damage(resolved, sources)
    if (folder / "recipe.toml").exists():
        raise ValueError(f"{folder} holds a run already: go on with --resume {folder}, or choose another --out")
    # What a part, the machine or the start refuses is told before there is a folder.
    launcher(resolved)
    network = resolved.build().translator
    stride = int(getattr(network, "stride", 1))
    if resolved.data.size % stride:
        raise ValueError(f"data.size = {resolved.data.size} has to be a multiple of the generator's stride, {stride}")
    if resolved.start:
        checkpoint.load_generator(network, resolved.start)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.write_atomically(folder / "data.json", json.dumps({"data": str(data.resolve())}))
    checkpoint.write_atomically(folder / "recipe.toml", resolved.to_toml())
    return Run(folder, resolved, data, sources)


def resume_run(folder: Path) -> Run:
    """Opens a run folder again, as it was made."""
    if not (folder / "recipe.toml").is_file():
        raise ValueError(f"{folder} is no run folder: it holds no recipe.toml")
    recipe = Recipe.load(folder / "recipe.toml")
    data = Path(json.loads((folder / "data.json").read_text(encoding="utf-8"))["data"])
    try:
        return Run(folder, recipe, data, _sources(recipe, data))
    except ValueError as error:
        raise ValueError(f"{error} (where the pictures are stands in {folder / 'data.json'})") from error


def train(run: Run, report: Callable[[int, dict[str, float]], None]) -> Path:
    """Trains to the end and returns the best checkpoint."""
    options = run.recipe.data
    dataset = Restoration(
        run.sources,
        size=options.size,
        seed=run.recipe.seed,
        pair_share=options.pair_share,
        transplant=options.transplant,
        target_first=options.target_first,
        damage=_damage(run.recipe, run.sources),
    )
    dataset.preload()
    held = validation(run.sources, options.target_first)
    return fit(run.recipe, run.folder, dataset, held, start_worker, lambda status: report(status.step, dict(status.losses)))


def _damage(recipe: Recipe, sources: Sources) -> Damage:
    return Damage(sources.overlays, recipe.data.untouched, recipe.data.noise, recipe.data.marked)


def _sources(recipe: Recipe, data: Path) -> Sources:
    options = recipe.data
    return find(data, options.clean, options.pairs, options.overlays, options.holdout, options.target_first)
