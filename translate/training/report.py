"""RUN/report.html: how a run goes, on one page that needs no other file, no server and no network.

Everything on it is read from the run folder, so it tells of a resumed run what became of it, and nothing of what was undone.
"""

import base64
import json
import math
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from importlib import resources
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image

from translate.training import checkpoint, environment, sessions
from translate.training.recipe import Recipe
from translate.training.sessions import FINISHED, Session

PATIENCE = 60.0
"""Seconds after which the page is written again, even without a validation."""
MOMENTS = 24
"""Validations whose preview is on the page, beside the best and the last one."""
PICTURE_BYTES = 250_000
"""Most of one preview: all together stay below 9 MB, as text."""
POINTS = 240
"""Points of a curve; where more were logged, neighbours become one, with their mean, least and greatest value."""

CAPTIONS = {
    "paired": "Held-out photographs: damaged, translated, and as they should be.",
    "aligned": "Held-out pairs: source, translation, target.",
    "unpaired": "Held-out pictures, translated and back again: first of the source, then of the target.",
    "ring": "Samples in orange over the mixture's own in blue.",
    "grid": "Samples in orange over the mixture's own in blue.",
    "digits": "What the averaged generator draws, from the same noise each time.",
}

KINDS = ("measure", "loss", "engine")
"""Of charts, in their order on the page."""

Line = dict[str, Any]


class Reporter:
    """Keeps the page and the run's list of sessions up to date, from the first step to the end, whatever that is.

    Before the first step the folder may belong to another process, so nothing is written.
    """

    def __init__(self, run: Path, recipe: Recipe) -> None:
        self._run, self._recipe = run, recipe
        self._before: list[Session] = []
        self._now: Session | None = None
        self._began = self._written = time.time()
        self._pace: tuple[float, int] = (0.0, 0)

    def step(self, step: int) -> None:
        """A step is done; what was measured at the one before has been written."""
        now = time.time()
        if self._now is None:
            self._begin(step - 1)
            self._pace = now, step
            self._tell(now, step)
        elif (step - 1) % self._recipe.validate_every == 0 or now - self._written > PATIENCE:
            self._tell(now, step)
        else:
            self._now = replace(self._now, last=step)

    def _begin(self, done: int) -> None:
        self._before = sessions.read(self._run)
        self._now = Session(self._began, self._began, done, done, "", environment.describe(self._recipe.device))

    def _tell(self, now: float, step: int, end: str = "") -> None:
        assert self._now is not None
        self._now, self._written = replace(self._now, heard=now, last=step, end=end), now
        since, first = self._pace
        left = (now - since) / (step - first) * (self._recipe.steps - step) if step > first else None
        try:  # neither is worth a training
            sessions.write(self._run, [*self._before, self._now])
            write(self._run, self._recipe, left)
        except (OSError, ValueError) as error:
            warnings.warn(f"{self._run / 'report.html'} cannot be written: {error}", stacklevel=3)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._now is None and isinstance(error, FloatingPointError):  # at its first step
            found = checkpoint.latest(self._run)
            self._begin(int(found.name) if found else 0)
        if self._now is not None:
            by_hand = kind is not None and issubclass(kind, KeyboardInterrupt)
            end = "stopped by hand" if by_hand else FINISHED if kind is None else str(error) or kind.__name__
            self._tell(time.time(), self._now.last, end)


def write(run: Path, recipe: Recipe, left: float | None = None) -> Path:
    """Writes `run`/report.html anew; a reader never sees half of it. `left` is how many seconds the run still needs, if known."""
    told = json.dumps(_cleaned(collect(run, recipe, left)), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    parts = {name: _part(f"report.{name}") for name in ("css", "js")} | {"data": told.replace("<", "\\u003c")}
    page = _part("report.html")
    head, *rest = page.split("{{")
    filled = [head]
    for piece in rest:
        name, _, after = piece.partition("}}")
        filled += [parts[name], after]
    path = run / "report.html"
    checkpoint.write_atomically(path, "".join(filled))
    return path


def collect(run: Path, recipe: Recipe, left: float | None = None) -> dict[str, Any]:
    """Everything that the page shows, as JSON knows it."""
    lines, lives = _lines(run / "metrics.jsonl"), sessions.read(run)
    events = _lines(run / "events.jsonl")
    best = _json(run / "best.json")
    logged = max((line["step"] for line in lines), default=0)
    step = lives[-1].last if lives else logged
    shown, measured = _moments(lines, best), list(best["scores"]) if best else []
    return {
        "name": recipe.name,
        "about": f"{recipe.about.source} → {recipe.about.target}" if recipe.about else "",
        "model": recipe.model.name,
        "caption": CAPTIONS.get(recipe.data.kind, CAPTIONS["digits"]),
        "state": _state(lives),
        "end": lives[-1].end if lives else "",
        "written": time.time(),
        "patience": PATIENCE,
        "step": step,
        "steps": recipe.steps,
        "spent": sum(life.heard - life.began for life in lives),
        "left": left if lives and not lives[-1].end else None,
        "best": best and {"step": best["step"], "measure": recipe.select, "score": best["scores"].get(recipe.select)},
        "charts": charts([*lines, *events], list(recipe.optimisers), measured),
        "unsound": _unsound(lines),
        "warnings": [line["warning"] for line in events if "warning" in line],
        "previews": [{"step": at, "picture": picture} for at in shown if (picture := _preview(run, at))],
        "measures": _table(lines, measured, shown),
        "validations": len(_validations(lines, measured)),
        "recipe": recipe.to_toml(),
        "audit": _json(run / "audit.json"),
        "sessions": [asdict(life) for life in lives],
    }


def charts(lines: Sequence[Line], players: Sequence[str], measured: Sequence[str]) -> list[dict[str, Any]]:
    """Curves that belong on one chart, by what they are.

    Losses of the two ways of one player, such as `cycle_x` and `cycle_y`, share a chart, and so do numbers of one thing, such as
    `lr/generator` and `lr/critic`. Each measure has its own scale.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for key in sorted({key for line in lines for key in line} - {"step", "warning"}, key=lambda key: key.casefold()):
        player, _, term = key.partition("/")
        if key in measured:
            place, name = ("measure", "", key), key
        elif player in players and term:
            stem, _, way = term.rpartition("_")
            stem, way = (stem, way) if stem and len(way) == 1 else (term, "")
            place, name = ("loss", player, stem), way or stem
        else:
            before, _, last = key.rpartition("/")
            place, name = ("engine", "", before or key), last
        kind, of, title = place
        chart = found.setdefault(place, {"kind": kind, "of": of, "title": title, "curves": []})
        chart["curves"].append({"name": name, "points": points((line["step"], line[key]) for line in lines if key in line)})
    known = [*measured, *players]  # in their own order, not the alphabet's

    def place_of(chart: dict[str, Any]) -> tuple[int, int]:
        return KINDS.index(chart["kind"]), known.index(chart["of"] or chart["title"]) if chart["kind"] != "engine" else 0

    return sorted(found.values(), key=place_of)


def points(values: Iterable[tuple[int, float]], limit: int = POINTS) -> list[tuple[float, ...]]:
    """At most `limit` of (step, value), or of (last step, mean, least, greatest) of equally many neighbours.

    What is not finite makes the mean of its neighbours so, for it must not disappear.
    """
    given = list(values)
    if len(given) <= limit:
        return [*given]
    each = -(-len(given) // limit)
    groups = (given[at : at + each] for at in range(0, len(given), each))
    return [(group[-1][0], sum(v) / len(v), min(v), max(v)) for group in groups if (v := [value for _, value in group])]


def _state(lives: Sequence[Session]) -> str:
    end = lives[-1].end if lives else None
    return {None: "unknown", "": "running", FINISHED: "finished"}.get(end, "stopped")


def _lines(path: Path) -> list[Line]:
    found = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except ValueError:  # half written
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            found.append(line)
    return found


def _validations(lines: Sequence[Line], measured: Sequence[str]) -> list[Line]:
    return [line for line in lines if any(name in line for name in measured)]


def _moments(lines: Sequence[Line], best: Any) -> list[int]:
    """Steps of validations to show: every one, or every second, fourth, …, and the best and the last."""
    steps = [line["step"] for line in _validations(lines, best["scores"] if best else [])]
    each = 1
    while len(steps) / each > MOMENTS:
        each *= 2  # so that those shown before are shown again, or left out, and no new ones appear between them
    kept = {*steps[each - 1 :: each], *steps[-1:], *([best["step"]] if best and best["step"] in steps else [])}
    return sorted(kept)


def _table(lines: Sequence[Line], measured: Sequence[str], shown: Sequence[int]) -> dict[str, Any]:
    rows = {line["step"]: [line.get(name) for name in measured] for line in _validations(lines, measured)}
    return {"columns": list(measured), "rows": [[step, *rows[step]] for step in shown]}


def _unsound(lines: Sequence[Line]) -> dict[str, int]:
    """What was logged as no finite number, and the first step at which it was."""
    found: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        for key, value in line.items():
            if not math.isfinite(value):
                found.setdefault(key, line["step"])
    return dict(found)


def _preview(run: Path, step: int) -> str | None:
    path = run / "previews" / f"{step:08d}.png"
    try:
        return _picture(path, path.stat().st_mtime_ns)
    except OSError:  # there is none, or a kill left half of it
        return None


@lru_cache(maxsize=4 * MOMENTS)
def _picture(path: Path, changed: int) -> str:
    """A preview as a data URL, smaller where it has to be. `changed` is for the cache alone."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    content = _webp(picture)
    while len(content) > PICTURE_BYTES:
        scale = 0.95 * math.sqrt(PICTURE_BYTES / len(content))
        picture = picture.resize([max(1, int(side * scale)) for side in picture.size], Image.Resampling.BICUBIC)
        content = _webp(picture)
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"


def _webp(picture: Image.Image) -> bytes:
    into = BytesIO()
    picture.save(into, "WEBP", quality=80, method=1)
    return into.getvalue()


def _json(path: Path) -> Any:
    return checkpoint.read_json(path) if path.is_file() else None


def _cleaned(value: Any) -> Any:
    """The same, with null in place of numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _part(name: str) -> str:
    return (resources.files("translate.training") / "page" / name).read_text(encoding="utf-8")
