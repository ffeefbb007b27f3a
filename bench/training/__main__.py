"""How fast a step of training is, ours against the reference PyTorch implementation's:

    python -m bench.training --reference DIR

DIR is a checkout of the reference. Its step is its own `optimize_parameters`, ours the loop that trains everybody's, with the
settings of the shipped recipe; both from the same weights on the same random pictures, at batch 1, without dropout, each in a
process of its own. They take turns: while one works the other waits, so that what else the machine does falls upon both. Medians
of the rounds are compared. `--set` changes ours (`precision=32-true`); `--seeds` compares what precisions end with.
"""

import time
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer

from bench.loader import reading
from bench.training import groups, seeds
from bench.training.sides import Setup, both, kinds
from translate.runtime.threads import usable_cpus
from translate.training.environment import describe
from translate.training.processes import precision


def main(
    reference: Annotated[Path, typer.Option(help="A checkout of the reference PyTorch implementation")],
    model: Annotated[list[str] | None, typer.Option(help="cyclegan or pix2pix; both by default")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each side")] = 7,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a turn")] = 1,
    size: Annotated[int, typer.Option(help="Side of the pictures; of pix2pix a multiple of 256")] = 256,
    width: Annotated[int, typer.Option(min=1, help="ngf and ndf")] = 64,
    threads: Annotated[int, typer.Option(min=0, help="Of each side; 0: all processors")] = 0,
    where: Annotated[bool, typer.Option(help="Print where the time goes")] = True,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Of our recipe, such as precision=32-true")] = None,
    runs: Annotated[int, typer.Option("--seeds", min=0, help="Runs in each precision, whose ends are compared")] = 0,
    run_steps: Annotated[int, typer.Option("--seed-steps", min=8, help="Steps of each of them, on small pictures")] = 400,
) -> None:
    """Prints Markdown."""
    try:
        found = kinds(model or [])
        threads = threads or usable_cpus()
        torch.set_num_threads(threads)
        told = describe("cpu")
        print(f"{told['processor']}, {threads} threads, PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
        for kind in found:
            _compare(Setup(kind, size, width, threads, tuple(set_ or ())), reference, rounds, steps, where)
            if runs:
                print("\n".join(seeds.compare(kind, runs, run_steps)), flush=True)
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _compare(setup: Setup, reference: Path, rounds: int, steps: int, where: bool) -> None:
    print(f"\n### {setup.kind}: {setup.size} px, width {setup.width}, batch 1, {precision(setup.ours())}", flush=True)
    with both(setup, reference) as sides:
        counts = {name: side.ask("count") for name, side in sides.items()}
        times: dict[str, list[float]] = {name: [] for name in sides}
        peaks: dict[torch.dtype, float] = {torch.float32: 0, torch.bfloat16: 0}
        for _ in range(rounds):
            for name, side in sides.items():
                times[name].append(side.ask("time", steps))
            peaks = {dtype: max(before, peak(dtype)) for dtype, before in peaks.items()}
        spent = {name: side.ask("profile", steps) for name, side in sides.items()} if where else {}
    seconds = {name: median(taken) for name, taken in times.items()}
    ratios = sorted(theirs / ours for ours, theirs in zip(times["ours"], times["reference"], strict=True))
    print("\n| | s a step | images/s | GFLOP | GFLOP/s | of the float32 peak | of the bfloat16 peak |")
    print("|---" * 7 + "|")
    for name, taken in seconds.items():
        shares = [f"{counts[name] / taken / most:.0%}" for most in peaks.values()]
        done = counts[name] / 1e9
        print(f"| {name} | {taken:.3f} | {1 / taken:.3f} | {done:.0f} | {done / taken:.0f} | {' | '.join(shares)} |")
    print(
        f"\n**{seconds['reference'] / seconds['ours']:.2f}×** the reference; of the rounds {ratios[0]:.2f} to {ratios[-1]:.2f}."
    )
    print(f"Peaks, measured in between: {', '.join(f'{str(d)[6:]} {most / 1e9:.0f} GFLOP/s' for d, most in peaks.items())}.")
    if spent:
        print("\n" + "\n".join(groups.table(spent)))
        took = reading("aligned" if setup.kind == "pix2pix" else "unpaired")
        print(f"\nReading the pictures of a step takes {1000 * took:.0f} ms more, in a process beside (`workers`).")
    print(flush=True)


def peak(dtype: torch.dtype, side: int = 2048, times: int = 3) -> float:
    """Floating-point operations a second in a product of two square matrices, the best of a few."""
    one, other = torch.randn(2, side, side).to(dtype)
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        one @ other
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


if __name__ == "__main__":
    typer.run(main)
