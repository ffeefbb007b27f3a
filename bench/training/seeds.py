"""Whether a precision ends a training elsewhere: runs of several seeds in each, whose last losses are compared."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import mannwhitneyu

from bench.loader import pairs
from bench.versus.runs import Curves, recipe_of, train_ours
from translate.training import tasks

PRECISIONS = ("32-true", "bf16-mixed")
SIZES = {"cyclegan": 32, "pix2pix": 128}
WIDTH = 8


def compare(kind: str, seeds: int, steps: int) -> Iterator[str]:
    """Markdown. A single run tells nothing, for GANs amplify any rounding: distributions have to be alike.

    Each run is small, of its own weights, and counts with the mean of each loss over its last quarter.
    """
    ends: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        (data := Path(folder) / "data").mkdir()
        pairs(data)
        for precision in PRECISIONS:
            ends[precision] = []
            for seed in range(seeds):
                recipe = recipe_of(kind, steps, SIZES[kind], WIDTH, seed, 50, [f"precision={precision}", "data.holdout=0"])
                curves = train_ours(recipe, tasks.find(recipe, data), Path(folder) / precision / str(seed))
                ends[precision].append(end(curves))
    yield from table(ends, f"{kind}, {seeds} seeds, {steps} steps, {SIZES[kind]} px, width {WIDTH}")


def end(curves: Curves) -> dict[str, float]:
    steps = len(curves.losses)
    return {term: curves.mean(term, steps - steps // 4, steps) for term in curves.losses[0]}


def table(ends: dict[str, list[dict[str, float]]], what: str) -> Iterator[str]:
    one, other = ends
    yield f"Losses at the end, mean ± standard deviation over seeds ({what}):"
    yield ""
    yield f"| | {one} | {other} | p, by ranks |"
    yield "|---|---|---|---|"
    for term in ends[one][0]:
        values = [[run[term] for run in runs] for runs in ends.values()]
        cells = [f"{mean(given):.4f} ± {stdev(given) if len(given) > 1 else 0:.4f}" for given in values]
        yield f"| {term} | {cells[0]} | {cells[1]} | {mannwhitneyu(*values).pvalue:.2f} |"
