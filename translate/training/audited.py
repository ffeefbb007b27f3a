"""The data audit of a run, in RUN/audit.json, for its report."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from translate.data.audit import Kind, audit, find
from translate.data.layouts import Layout, Part, View
from translate.training import checkpoint, tasks
from translate.training.run import Run

MOST = 2000
"""Pictures up to which they are looked at without being asked: some minutes at the most."""


def look(run: Run, data: Path, tell: Callable[[int, int], None] = lambda done, total: None) -> list[str]:
    """Decodes every picture that the run has to do with, once. Returns what is wrong, a line each."""
    layout, kind = _layout(run, data)
    count = len({view.path for part in layout.splits.values() for side in part for view in side})
    if count > MOST:
        skipped = f"not looked at: {count:,} pictures, over {MOST:,}; translate-data audit looks at any number"
        checkpoint.write_atomically(run.folder / "audit.json", json.dumps({"skipped": skipped}))
        return []
    report = audit(data, layout, kind, tell)
    content = json.dumps(asdict(report) | {"sound": report.sound}, ensure_ascii=False, indent=1)
    checkpoint.write_atomically(run.folder / "audit.json", content)
    findings = sorted(report.findings, key=lambda finding: not finding.breaks)
    return [f"{'error' if f.breaks else 'warning'}: {f.says} ({len(f.where)}), such as {f.where[0]}" for f in findings]


def _layout(run: Run, data: Path) -> tuple[Layout, Kind]:
    if not isinstance(run.task, tasks.Restoration):
        told = run.recipe.data
        return find(
            data, "unpaired" if told.kind == "unpaired" else "aligned", told.source, told.target, told.joined, told.target_first
        )
    sources = run.task.sources  # of folders that the recipe names, not of all in `data`
    paired = not sources.clean and not sources.held_clean
    parts: list[Part] = []
    for clean, pairs in ((sources.clean, sources.pairs), (sources.held_clean, sources.held_pairs)):
        x, y = [pair.x for pair in pairs], [pair.y for pair in pairs]
        parts.append(Part(x, y) if paired else Part([*(View(path, path.stem) for path in clean), *x, *y]))
    return Layout(str(sources), train=parts[0], val=parts[1]), "aligned" if paired else "photographs"
