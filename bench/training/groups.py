"""Where the time of a step goes: by kind of operation, and by what it belongs to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

PHASES = ("forward", "backward", "optimiser")
GROUPS = {
    "convolutions": ("conv", "im2col", "col2im", "aten::mm", "addmm", "bmm"),
    "norms": ("norm", "moments"),
    "padding": ("pad",),
    "activations": ("relu", "tanh", "sigmoid", "softplus", "threshold"),
    "copies, casts and joins": ("copy", "clone", "contiguous", "cat", "_to", "resolve"),
    "adam": ("adam", "addcmul", "addcdiv", "sqrt", "lerp"),
    "memory": ("empty", "zero", "fill", "resize", "detach", "accumulategrad"),
}
"""By parts of operations' names, the first that fits; what fits none is "the rest". Some convolutions are matrix products."""

Spent = dict[tuple[str, str], float]
"""Milliseconds of a step, by phase and group."""


def group(name: str) -> str:
    name = name.lower()
    return next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), "the rest")


def phase(names: Iterable[str]) -> str:
    """Of an operation, by the names of itself and of those that it is part of."""
    for name in names:
        if name.startswith("Optimizer."):
            return "optimiser"
        if name.startswith("autograd::engine"):
            return "backward"
    return "forward"


def spent(events: Iterable[Any], steps: int) -> Spent:
    """Of the profiler's events; each operation's time is its own, without those that it calls."""
    found: Spent = defaultdict(float)
    for event in events:
        found[phase(_upwards(event)), group(event.name)] += event.self_cpu_time_total / 1000 / steps
    return dict(found)


def table(sides: dict[str, Spent]) -> Iterator[str]:
    """Markdown: ms of a step, of each side; groups of which nobody spends a thousandth are left out."""
    heads = [f"{side}, {phase}" for side in sides for phase in PHASES]
    yield f"| ms | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    least = max(sum(spent.values()) for spent in sides.values()) / 1000
    for name in (*GROUPS, "the rest"):
        cells = [spent.get((phase, name), 0.0) for spent in sides.values() for phase in PHASES]
        if sum(cells) >= least:
            yield f"| {name} | {' | '.join(f'{cell:.0f}' for cell in cells)} |"
    sums = [sum(ms for (of, _), ms in spent.items() if of == phase) for spent in sides.values() for phase in PHASES]
    yield f"| together | {' | '.join(f'{cell:.0f}' for cell in sums)} |"


def _upwards(event: Any) -> Iterator[str]:
    while event is not None:
        yield event.name
        event = event.cpu_parent
