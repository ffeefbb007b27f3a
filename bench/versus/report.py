"""What is told of the two trainings: where they differ first, tables, and curves."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.versus.runs import Curves

mpl.use("Agg")

FIRST = 10
"""Steps in which every loss has to be the same in double precision."""
TOLERANCE = 1e-6
"""Largest difference there, in shares of the loss (or of 1, where it is smaller)."""


def first_difference(ours: Curves, other: Curves) -> tuple[float, str]:
    """The largest difference within the `FIRST` steps, as a share of the loss (or of 1), and where it is."""
    found = [
        (abs(mine[term] - their[term]) / max(1.0, abs(their[term])), f"{term}, step {step}")
        for step, (mine, their) in enumerate(zip(ours.losses[:FIRST], other.losses[:FIRST], strict=True), 1)
        for term in their
    ]
    return max(found)


def windows(steps: int, most: int = 8) -> list[tuple[int, int]]:
    edges = sorted({round(part * steps / most) for part in range(most + 1)})
    return list(pairwise(edges))


def table(ours: Curves, reference: Curves, twins: Sequence[Curves]) -> Iterator[str]:
    """Losses as means over stretches of steps, then measures; "a / b / c": ours, the reference, the reference again.

    Below, how far ours and the twins are from the reference: of the twins the nearest and the farthest.
    """
    twin = twins[0]
    terms, measures = list(reference.losses[0]), sorted(reference.measures)
    names = list(reference.measures[measures[0]]) if measures else []
    parts = windows(len(reference.losses))
    yield "| steps | " + " | ".join(terms) + " |"
    yield "|---" * (len(terms) + 1) + "|"
    for first, last in parts:
        cells = (" / ".join(f"{curves.mean(term, first, last):.4f}" for curves in (ours, reference, twin)) for term in terms)
        yield f"| {first + 1}–{last} | " + " | ".join(cells) + " |"

    def apart(term: str, other: Curves) -> float:
        return sum(abs(other.mean(term, *part) - reference.mean(term, *part)) for part in parts) / len(parts)

    yield "| ours from the reference, on average | " + " | ".join(f"{apart(term, ours):.4f}" for term in terms) + " |"
    spread = ([apart(term, again) for again in twins] for term in terms)
    cells = (f"{min(found):.4f} to {max(found):.4f}" for found in spread)
    yield f"| the reference from itself, {len(twins)} times | " + " | ".join(cells) + " |"
    if names:
        yield ""
        yield "| after step | " + " | ".join(names) + " |"
        yield "|---" * (len(names) + 1) + "|"
        for step in measures:
            cells = (" / ".join(f"{c.measures[step][name]:.3f}" for c in (ours, reference, twin)) for name in names)
            yield f"| {step} | " + " | ".join(cells) + " |"


def draw(path: Path, ours: Curves, reference: Curves, twin: Curves) -> None:
    terms = list(reference.losses[0])
    names = list(next(iter(reference.measures.values()), {}))
    columns = min(4, len(terms) + len(names))
    rows = -(-(len(terms) + len(names)) // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    lines = (("the reference", reference, "-"), ("the reference again", twin, ":"), ("ours", ours, "--"))
    for axis, term in zip(axes, [*terms, *names], strict=False):
        for text, curves, style in lines:
            if term in terms:
                parts = windows(len(curves.losses), 100)
                axis.plot([last for _, last in parts], [curves.mean(term, *part) for part in parts], style, label=text)
            else:
                axis.plot(list(curves.measures), [measured[term] for measured in curves.measures.values()], style, label=text)
        axis.set_title(term, fontsize=9)
    axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)
