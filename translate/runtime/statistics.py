"""Statistics of a whole picture for the norms of a network, without the network's values for the whole picture in memory."""

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from translate.runtime.card import Stage, Stages
from translate.runtime.graph import Graph
from translate.runtime.sessions import Session
from translate.runtime.tiles import Pixels, Span, spans

Floats: TypeAlias = npt.NDArray[np.float32]
Half: TypeAlias = npt.NDArray[np.float16]
Kept: TypeAlias = dict[str, Half]
Feeds: TypeAlias = dict[str, Floats]
Run: TypeAlias = Callable[[Session, list[str], Feeds], list[Floats]]

MEMORY = 1_600_000_000
"""Bytes for the values that are kept from norm to norm; of larger pictures a part is looked at."""
WORKING = 5
"""Values of the largest size that a run of a network holds at a time."""
PIECE = 1024
"""Side of the pieces of such a part, in pixels."""


class Piece(NamedTuple):
    """A part of a picture that is looked at as if it were a picture of its own."""

    top: int
    left: int
    height: int
    width: int


class Statistics:
    """Takes the statistics that the norms of one file are given for a picture in tiles: norm by norm, each exact where the
    picture fits (25 megapixels for a ResNet of width 64), and otherwise exact for a part that is spread evenly over it."""

    def __init__(self, model: bytes, stages: Stages, stride: int, count: int, start: Callable[[bytes], Session]) -> None:
        self._graph, self._plan, self._stride, self._start = Graph(model), stages, stride, start
        self._count = count
        # A value of the largest size, what it is made of, and what a norm and the next layer make of it
        self.bytes_per_pixel = math.ceil(4 * WORKING * stages.widest)
        self.none: Feeds = {"statistics": np.zeros((1, count, 2), np.float32), "given": np.zeros((), np.float32)}
        """What a picture in one piece is given: nothing."""

    def steps(self, height: int, width: int, side: int) -> int:
        """How many tiles are looked at."""
        pieces = self._pieces(height, width)
        grids = [_axes(piece, stage, side, self._stride) for stage in self._plan.stages for piece in pieces]
        return sum(len(rows) * len(columns) for rows, columns in grids)

    def measure(
        self, source: Pixels, side: int, noise: Callable[[Span, Span], Feeds], run: Run, step: Callable[[], None]
    ) -> Feeds:
        """What all tiles of a picture are given: mean and variance of each channel, `[1, S, 2]`.

        `side` is that of the tiles, `noise` draws for rows and columns of the picture, `run` runs a part of the network, and
        `step` is called after each tile.
        """
        measured = np.zeros((1, self._count, 2), np.float32)
        given = {"statistics": measured, "given": np.ones((), np.float32)}
        pieces = self._pieces(*source.shape[:2])
        kept: list[Kept] = [{} for _ in pieces]
        at = 0
        for stage in self._plan.stages:
            targets = [stage.norm, *(name for name in stage.keep if name not in stage.start)]
            session = self._start(self._graph.part(stage.start, targets))
            wanted = {value.name for value in session.get_inputs()}
            sums, places = np.zeros(()), 0
            for index, piece in enumerate(pieces):
                made = {name: value for name, value in kept[index].items() if name in stage.keep}
                free = [value for name, value in kept[index].items() if stage.keep and name not in stage.keep]
                for row, column, old in self._windows(piece, stage, side, kept[index]):
                    feeds: Feeds = {name: value[None].astype(np.float32) for name, value in old.items()}
                    rows, columns = _moved(row, piece.top), _moved(column, piece.left)
                    if "image" in wanted:
                        feeds["image"] = to_floats(source[rows.start : rows.stop, columns.start : columns.stop])
                    if "noise" in wanted:
                        feeds |= noise(rows, columns)
                    feeds |= {name: value for name, value in given.items() if name in wanted}
                    norm, *others = run(session, targets, feeds)
                    core = self._core(norm[0], row, column, stage.reduction)
                    sums = sums + _sums(core)
                    places += core.shape[1] * core.shape[2]
                    for name, value in zip(targets[1:], others, strict=True):
                        self._keep(made, free, name, value[0], piece, row, column, stage.keep[name])
                    step()
                if stage.keep:
                    kept[index] = made
            mean, square = sums / places
            measured[0, at : at + len(mean)] = np.stack([mean, np.maximum(square - mean**2, 0)], axis=1)
            at += len(mean)
        return given

    def _windows(self, piece: Piece, stage: Stage, side: int, kept: Kept) -> Iterator[tuple[Span, Span, Kept]]:
        """Each tile with the values that it starts from, as they were before the stage: they may be overwritten meanwhile."""
        start, stop, bands = 0, 0, {name: kept[name][:, :0] for name in stage.start}
        rows, columns = _axes(piece, stage, side, self._stride)
        for row in rows:
            for name, by in stage.start.items():
                seen, fresh = self._within(row.start - start, stop - start, by), self._within(stop, row.stop, by)
                bands[name] = np.concatenate([bands[name][:, seen], kept[name][:, fresh]], axis=1)
            start, stop = row.start, row.stop
            for column in columns:
                yield (
                    row,
                    column,
                    {name: bands[name][:, :, self._within(column.start, column.stop, by)] for name, by in stage.start.items()},
                )

    def _pieces(self, height: int, width: int) -> list[Piece]:
        most = MEMORY / (2 * max(self._plan.held, 1e-9))
        if height * width <= most:
            return [Piece(0, 0, height, width)]
        tall, wide = min(height, PIECE), min(width, PIECE)
        count = max(1, int(most / (tall * wide)))
        rows = max(1, min(height // tall, round(math.sqrt(count * height * wide / (width * tall)))))
        columns = max(1, min(width // wide, count // rows))
        tops, lefts = _spread(height, tall, rows, self._stride), _spread(width, wide, columns, self._stride)
        return [Piece(top, left, tall, wide) for top, left in product(tops, lefts)]

    def _keep(
        self, made: Kept, free: list[Half], name: str, value: Floats, piece: Piece, row: Span, column: Span, by: int
    ) -> None:
        if name not in made:
            shape = (len(value), *(-(-length // self._stride) * self._stride // by for length in (piece.height, piece.width)))
            place = next((k for k, other in enumerate(free) if other.shape == shape), None)
            made[name] = np.empty(shape, np.float16) if place is None else free.pop(place)
        rows, columns = (self._within(axis.core_start, axis.core_stop, by) for axis in (row, column))
        made[name][:, rows, columns] = self._core(value, row, column, by)

    def _core(self, value: Floats, row: Span, column: Span, reduction: int) -> Floats:
        rows, columns = (
            self._within(axis.core_start - axis.start, axis.core_stop - axis.start, reduction) for axis in (row, column)
        )
        return value[:, rows, columns]

    def _within(self, start: int, stop: int, reduction: int) -> slice:
        """In a map of a picture that is padded to a multiple of the stride."""
        return slice(start // reduction, -(-stop // self._stride) * self._stride // reduction)


def to_floats(pixels: Pixels) -> Floats:
    """`[1, H, W, 3]` in 0..1."""
    image = pixels.astype(np.float32)
    image /= np.iinfo(pixels.dtype).max
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))[None]


def _axes(piece: Piece, stage: Stage, side: int, stride: int) -> tuple[list[Span], list[Span]]:
    """Rows and columns of tiles a quarter as large as those of `side`², for much of the memory is taken by what is kept, and low
    and wide, because a row of them is copied."""
    low = min(max(side // 8, 4 * stage.halo), side // 2)
    return spans(piece.height, low, stage.halo, stride), spans(piece.width, (side // 2) ** 2 // low, stage.halo, stride)


def _moved(span: Span, by: int) -> Span:
    return Span(span.start + by, span.stop + by, span.core_start + by, span.core_stop + by)


def _spread(length: int, piece: int, count: int, stride: int) -> list[int]:
    """Starts of `count` pieces in the middles of as many equal parts."""
    return [int((length / count * (k + 0.5) - piece / 2) // stride * stride) for k in range(count)]


def _sums(core: Floats) -> npt.NDArray[np.float64]:
    """Of each channel, the sum and the sum of squares: [2, C]."""
    # Along a row in single precision, which adds pairwise; the rows in double
    sums = core.sum(axis=2).sum(axis=1, dtype=np.float64)
    return np.stack([sums, np.einsum("chw,chw->ch", core, core).sum(axis=1, dtype=np.float64)])
