"""`python -m bench.gan [--only modes] [--mnist DIR]`: prints Markdown tables and draws a figure for each effect.

Runs are kept below `--work`, so that a bench that was stopped goes on where it stood.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from bench.gan import digits, plane
from bench.gan.runs import Runs
from translate.runtime.threads import usable_cpus
from translate.training.environment import processor

EXPERIMENTS = {
    "disjoint": plane.disjoint,
    "saturation": plane.saturation,
    "noise": plane.noise,
    "modes": plane.modes,
    "estimate": plane.estimate,
    "weights": plane.weights,
    "systems": digits.systems,
    "conditional": digits.conditional,
    "codes": digits.codes,
    "encoders": digits.encoders,
    "features": digits.features,
    "walks": digits.walks,
    "pretraining": digits.pretraining,
    "architectures": digits.architectures,
}


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"One or more of {', '.join(EXPERIMENTS)}; all by default")] = None,
    mnist: Annotated[Path | None, typer.Option(help="Folder with MNIST's four files; without it, scikit-learn's digits")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each system in the comparison of modes")] = 5,
    jobs: Annotated[int, typer.Option(help="Runs at once; by default one for each CPU", min=1)] = usable_cpus(),
    work: Annotated[Path, typer.Option(help="Folder for the runs")] = Path("runs/bench-gan"),
    out: Annotated[Path, typer.Option(help="Folder for the figures")] = Path("docs/pictures/gan"),
) -> None:
    """Measure the effects that the papers claim."""
    unknown = set(only or ()) - EXPERIMENTS.keys()
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(EXPERIMENTS)}")
    out.mkdir(parents=True, exist_ok=True)
    print(f"Machine: {processor()}, {usable_cpus()} CPUs, torch {torch.__version__}.\n")
    runs = Runs(work, mnist, seeds, out, jobs)
    for name in only or EXPERIMENTS:
        EXPERIMENTS[name](runs)


if __name__ == "__main__":
    typer.run(main)
