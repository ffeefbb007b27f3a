"""How alike a converted file's pictures are to those of the file that it was made from."""

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime

from translate.runtime.sessions import start
from translate.runtime.threads import usable_cpus

Floats: TypeAlias = npt.NDArray[np.float32]
Feeds: TypeAlias = dict[str, Floats]

EQUAL = 99.0
"""dB of equal pictures."""


class NotAlike(Exception):
    """A converted file is farther from the float32 file than was asked for, so none was written."""


class Reference:
    """A float32 file, pictures, and what it makes of them: values in 0..1."""

    def __init__(self, path: Path, feeds: Sequence[Feeds]) -> None:
        self.path = path
        session = start(path, "cpu", usable_cpus())
        rest: Feeds = {
            value.name: np.zeros(value.shape, np.float32)
            for value in session.get_inputs()
            if value.name in ("statistics", "given")
        }
        self.feeds = [{**feed, **rest} for feed in feeds]
        self._session = session

    def first(self, count: int) -> Self:
        """With the first so many pictures alone."""
        few = copy.copy(self)
        few.feeds, few.answers = self.feeds[:count], self.answers[:count]
        return few

    @cached_property
    def answers(self) -> list[Floats]:
        return [_run(self._session, feed) for feed in self.feeds]


def psnr(model: Path, reference: Reference) -> list[float]:
    """Of each picture, in dB. Values that are no numbers are as far as can be."""
    session = start(model, "cpu", usable_cpus())
    return [_psnr(_run(session, feed), answer) for feed, answer in zip(reference.feeds, reference.answers, strict=True)]


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _run(session: onnxruntime.InferenceSession, feeds: Feeds) -> Floats:
    (translated,) = session.run(["translated"], feeds)
    return np.asarray(translated, np.float32)


def _psnr(found: Floats, wanted: Floats) -> float:
    error = float(np.square(found.astype(np.float64) - wanted).mean())
    if not np.isfinite(error):
        return 0.0
    return min(EQUAL, -10 * float(np.log10(error))) if error else EQUAL
