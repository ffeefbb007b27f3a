"""What the modern recipes gain over the faithful ones: `python -m bench.modern --data DIR`. Prints Markdown.

Where DIR holds photographs and their label maps in the colours of CMP facades, a translation is right or wrong pixel by pixel;
CycleGAN and DualGAN are not told who belongs together. Between two kinds of pictures without pairs, translations are measured
as in `bench.kinds`, beside untranslated pictures and the target's own.

Every recipe is trained at a small size, for the same number of steps, over several seeds, by the loop that trains everybody's;
`--each` adds the faithful recipes with one of the changes at a time. Runs are kept below --work, and one that was stopped is gone
on with.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from bench.gan.runs import spread, table
from bench.kinds import Kinds
from bench.resumed import begun
from translate.data import aligned, unpaired
from translate.metrics import Result
from translate.metrics.labels import FACADES, Segmentation
from translate.runtime.threads import usable_cpus
from translate.training import tasks
from translate.training.checkpoint import generator_weights
from translate.training.environment import processor
from translate.training.evaluate import Paired, translate
from translate.training.recipe import Recipe
from translate.training.run import Run, train

AVERAGED = ("ema=0.999",)
SPECTRAL = ("critic.network.norm=none", "critic.constraint={name='spectral-norm'}")
NOISE = ("critic.stabilisers=[{name='instance-noise', start=0.2}]",)
ADAM = [f"optimisers.{player}={{lr=2e-4, betas=[0.5, 0.999], hold=0.5, schedule='linear'}}" for player in ("generator", "critic")]
SQUARES = ("critic.objective.name=least-squares", "model.reconstruction_u=5", "model.reconstruction_v=5", *SPECTRAL, *ADAM)
PENALTY = ("critic.network.norm=none", "critic.constraint={name='gradient-penalty', weight=10}", *ADAM)
CHANGES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "pix2pix": {"averaged weights": AVERAGED, "spectral norm": SPECTRAL, "instance noise": NOISE},
    "cyclegan": {
        "averaged weights": AVERAGED,
        "spectral norm": SPECTRAL,
        "instance noise": NOISE,
        "resize-convolution": ("generator.upsample=resize",),
        "weaker identity": ("model.identity=2",),
    },
    "dualgan": {
        "averaged weights": AVERAGED,
        "gradient penalty and Adam": PENALTY,
        "least squares, spectral norm and Adam": SQUARES,
        "these and instance noise": (*SQUARES, *NOISE),
    },
}


def main(
    data: Annotated[Path, typer.Option(help="Photographs and their label maps, or two kinds of pictures without pairs")],
    systems: Annotated[list[str] | None, typer.Option("--system", help="pix2pix, cyclegan, dualgan; all by default")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each recipe")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Of each run")] = 3000,
    size: Annotated[int, typer.Option(min=16, help="Side of the crops")] = 64,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, such as data.target_first=true")] = None,
    each: Annotated[bool, typer.Option("--each", help="The faithful recipes with single changes as well")] = False,
    work: Annotated[Path, typer.Option(help="Folder for the runs")] = Path("runs/bench-modern"),
) -> None:
    """Train faithful and modern recipes, and print how well each translates held-out pictures."""
    print(f"Machine: {processor()}, {usable_cpus()} CPUs, torch {torch.__version__}.")
    print(f"Medians of {seeds} seeds (least–most), {steps} steps at {size} px.\n")
    for system in systems or list(CHANGES):
        if system not in CHANGES:
            raise typer.BadParameter(f"unknown system {system!r}; choose from {', '.join(CHANGES)}")
        ways: dict[str, tuple[str, Sequence[str]]] = {"faithful": (system, ())}
        ways |= {f"faithful, {change}": (system, told) for change, told in CHANGES[system].items()} if each else {}
        ways["modern"] = (f"{system}-modern", ())
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        runs: list[Run] = []
        for way, seed in product(ways, range(1, seeds + 1)):
            recipe, changes = ways[way]
            told = [*small(recipe, size), f"steps={steps}", f"seed={seed}"]
            folder = work / f"{system}-{way.replace(', ', '-').replace(' ', '-')}-{seed}"
            run = begun(recipe, data, folder, [*told, *changes, *(settings or [])])
            train(run, lambda *_: None)
            runs.append(run)
            found[way].append(read(run, work))
            print(f"<!-- {folder.name}: {json.dumps(found[way][-1])} -->", flush=True)
        if kinds := between(runs[-1], work):
            found |= {what: [scores] for what, scores in kinds.gauges().items()}
        measures = list(found["modern"][0])
        rows = [
            (way, *(spread([score[name] for score in scores]) if name in scores[0] else "" for name in measures))
            for way, scores in found.items()
        ]
        table(system, (system, *measures), rows)


def small(recipe: str, size: int) -> list[str]:
    """What makes a recipe one of pictures of `size` pixels: a U-Net halves them down to one place, as it does at 256, and critics
    see 34 pixels, not 70."""
    unet = Recipe.load(f"{recipe}.toml").generator.name == "unet"
    depth = f"generator.levels={size.bit_length() - 1}" if unet else "generator.blocks=6"
    widths = ["generator.width=16", "critic.network.width=16", "critic.network.layers=2"]
    return [*widths, depth, f"data.size={size}", f"data.load={size * 9 // 8}", "workers=0"]


@torch.no_grad()
def read(run: Run, work: Path) -> dict[str, float]:
    """How well the run translates held-out pictures. A classifier that is wanted is kept in `work`."""
    network: nn.Module = run.recipe.build().translator
    network.load_state_dict(generator_weights(run.folder))
    network.eval()
    ways = dict(network.named_children())
    if kinds := between(run, work):
        return kinds.scores(*(partial(translate, ways[way]) for way in ("there", "back")))
    segmentation = Segmentation(FACADES)
    for pair in held(run):
        x, fake, y = (_shown(t) for t in (pair.x, translate(ways.get("there", network), pair.x), pair.y))
        segmentation.add(Result("", x, fake, y))
    return {name: round(score.value, 4) for name, score in segmentation.scores().items()}


def between(run: Run, work: Path) -> Kinds | None:
    """Where the run's data are two kinds without pairs."""
    match run.task:
        case tasks.Domains(domains=domains) if not domains.pairs:
            return Kinds(domains, run.recipe.data.size, work / "classifier.onnx")
    return None


def held(run: Run) -> Sequence[Paired]:
    """Its held-out pairs, whether or not the training knew that they are some."""
    data = run.recipe.data
    match run.task:
        case tasks.Aligned(pairs=pairs):
            return aligned.validation(pairs.held, data.size, data.sides)
        case tasks.Domains(domains=domains):
            return unpaired.validation(domains, data.size, data.sides)[0]
    raise SystemExit(f"{run.folder}: no pairs are held out")


def _shown(picture: Tensor) -> Tensor:
    return (picture + 1) / 2


if __name__ == "__main__":
    typer.run(main)
