"""The reference PyTorch implementation and ours, trained on the same pictures:

    python -m bench.versus --reference DIR --data DIR

DIR is a checkout of the reference. Its networks, losses, picture pool, optimisers and schedule are its own, imported from there
and stepped by its `optimize_parameters`; ours are the shipped faithful recipe and the loop that trains everybody's. Both start
from the same weights and see the same crops in the same order, on the same cores. Dropout is left out on both sides.

1. The first steps are taken in double precision. There every loss has to be the same, step by step: loss weights, the order of
   updates, the pool, what is detached, the optimisers.
2. Then both are trained at length in single precision, where rounding is amplified: Adam's first steps are the gradient's signs,
   which a last bit can turn. How far that leads is told by the reference itself, trained again from weights that differ in
   their last bits; ours is equal to it where it is no farther away than that. Prints Markdown and draws the curves.
"""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer

from bench.versus.report import FIRST, TOLERANCE, draw, first_difference, table
from bench.versus.runs import KINDS, Doubled, doubles, recipe_of, train_ours, train_theirs
from translate.training import tasks


def main(
    reference: Annotated[Path, typer.Option(help="A checkout of the reference PyTorch implementation")],
    data: Annotated[Path, typer.Option(help="Pictures, as translate-train takes them")],
    model: Annotated[str, typer.Option(help=" or ".join(KINDS))] = "cyclegan",
    steps: Annotated[int, typer.Option(min=2 * FIRST + 4, help="Batches of one picture of each kind")] = 400,
    size: Annotated[int, typer.Option(help="Side of the crops; of pix2pix a multiple of 128")] = 128,
    width: Annotated[int, typer.Option(min=1, help="ngf and ndf")] = 16,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    pool: Annotated[int, typer.Option(min=0, help="CycleGAN's pool of earlier fakes")] = 50,
    twins: Annotated[int, typer.Option(min=1, help="Times that the reference is trained again")] = 3,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Of our recipe, such as data.source=…")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the curves and the figure")] = Path("versus"),
) -> None:
    """Exits 1 where one of the first steps' losses differs."""
    try:
        if model not in KINDS:
            raise ValueError(f"unknown --model {model}; choose from {', '.join(KINDS)}")
        recipe = recipe_of(model, steps, size, width, seed, pool, set_ or [])
        short = recipe_of(model, 2 * FIRST + 4, size, width, seed, min(pool, 3), set_ or [])
        with tempfile.TemporaryDirectory() as work:
            with doubles():
                doubled = Doubled(tasks.find(short, data))
                first = train_ours(short, doubled, Path(work) / "first"), train_theirs(short, doubled, reference)
            task = tasks.find(recipe, data)
            ours, reference_ = train_ours(recipe, task, Path(work) / "all"), train_theirs(recipe, task, reference)
            again = [train_theirs(recipe, task, reference, twin) for twin in range(1, twins + 1)]
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    out.mkdir(parents=True, exist_ok=True)
    runs = {"ours": ours, "reference": reference_} | {f"again-{twin}": curves for twin, curves in enumerate(again, 1)}
    draw(out / f"{model}.png", ours, reference_, again[0])
    curves = {name: {"losses": run.losses, "measures": run.measures} for name, run in runs.items()}
    (out / f"{model}.json").write_text(json.dumps(curves), encoding="utf-8")
    worst, where = first_difference(*first)
    print(f"### {model}: {steps} steps, {size} px, width {width}, seed {seed}")
    print(f"\nPyTorch {torch.__version__}, {torch.get_num_threads()} threads. Figure: {out / model}.png")
    print("\nOurs / the reference / the reference again, from weights that are one bit larger:\n")
    print("\n".join(table(ours, reference_, again)) + "\n")
    rate = max(abs(mine - their) for mine, their in zip(ours.rates, reference_.rates, strict=True))
    print(f"- The first {FIRST} steps in double precision: losses differ by at most {worst:.1e} of themselves ({where}).")
    print(f"- Learning rates differ by at most {rate:.1e}: the reference begins its linear decay two epochs early.")
    print(f"- Seconds a step, with the measures: ours {ours.seconds:.3f}, the reference {reference_.seconds:.3f}.")
    if worst > TOLERANCE:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
