"""Runs a translator over test cases and its measures over the results."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translate.evaluation.cases import Case, Cases, shown
from translate.evaluation.instruments import Instruments, Wanted, prepare
from translate.metrics import Result, Score
from translate.metrics.distance import Distance
from translate.runtime.model import Model
from translate.runtime.picture import Picture
from translate.runtime.store import sha256


@dataclass(frozen=True)
class Report:
    """What was measured, on what, of which file."""

    model: str
    sha256: str
    test_set: str
    """Split, count and resize in words, as a card has them."""
    count: int
    references: int
    """Real pictures without a partner."""
    resize: int
    """Side of the squares that were measured on; 0: whole pictures."""
    seed: int | None
    samples: int
    scores: dict[str, Score]
    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of label maps."""
    missing: dict[str, str] = field(default_factory=dict)
    """What was not measured, and what would be needed."""

    @property
    def metrics(self) -> dict[str, float]:
        """As a card has them: to five digits."""
        return {name: float(f"{score.value:.5g}") for name, score in self.scores.items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 %, over pictures."""
        return {name: s.interval for name, s in self.scores.items() if s.interval is not None}

    def json(self) -> str:
        told: dict[str, Any] = {key: value for key, value in vars(self).items() if key != "scores"}
        return json.dumps(told | {"metrics": self.metrics, "intervals": self.intervals}, indent=1, ensure_ascii=False) + "\n"


def evaluate(
    path: Path,
    cases: Cases,
    wanted: Wanted,
    *,
    name: str = "",
    seed: int = 0,
    device: str = "cpu",
    follow: Callable[[Iterable[Case]], Iterable[Case]] = lambda cases: cases,
) -> Report:
    """Measures the translator at `path`, run on each picture as the server would, with `seed` for the noise of all of them.

    `name` is put before the measures. `follow` goes round the cases, for a progress bar. Raises `ValueError` where something
    that was asked for cannot be measured, and what the model and its pictures raise.
    """
    model = Model.open(path, device=device)
    if wanted.samples > 1 and model.card.noise is None:
        raise ValueError(f"{model.card.name} has no noise: all its samples of a picture are equal, so leave out --samples")
    instruments = prepare(wanted, cases)
    scores = _run(model, cases, instruments, seed, wanted.samples, follow)
    noisy = model.card.noise is not None
    judges = (("read by", wanted.classifier), ("features of", wanted.features))
    told = "".join(f", {how} {file.name} (sha256 {sha256(file)[:12]})" for how, file in judges if file)
    return Report(
        model=model.card.name,
        sha256=sha256(path),
        test_set=str(cases) + told + (f", seed {seed}" if noisy else ""),
        count=len(cases),
        references=len(cases.references),
        resize=cases.size,
        seed=seed if noisy else None,
        samples=wanted.samples,
        scores={f"{name}/{key}" if name else key: score for key, score in scores.items()},
        classes=instruments.segmentation.by_class() if instruments.segmentation else {},
        missing=instruments.missing,
    )


def _run(
    model: Model,
    cases: Cases,
    instruments: Instruments,
    seed: int,
    samples: int,
    follow: Callable[[Iterable[Case]], Iterable[Case]],
) -> dict[str, Score]:
    measures, diversity = instruments.measures, instruments.diversity
    for case in follow(cases):
        drawn = [shown(_translate(model, case.source, seed + k)) for k in range(samples)]
        for measure in measures:
            measure.add(Result(case.name, shown(case.source), drawn[0], case.target, case.label))
        if diversity:
            diversity.add(drawn)
    distances = [measure for measure in measures if isinstance(measure, Distance)]
    for real in cases.real() if distances else ():
        for distance in distances:
            distance.add_real(real)
    scores: dict[str, Score] = {}
    for measure in measures:
        scores |= measure.scores()
    return scores | (diversity.scores() if diversity else {})


def _translate(model: Model, pixels: NDArray[Any], seed: int) -> NDArray[Any]:
    return np.asarray(model(Picture(pixels), seed=seed).pixels)
