"""Tiles: a picture of any size in pieces of bounded size, such that the pieces together equal the whole."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
"""`[H, W, C]`, uint8 or uint16."""

SIDE = 1792
"""Longest side of a square tile, context included, in pixels."""
MEMORY = 1_000_000_000
"""Bytes for a picture and the work on one of its tiles."""
BYTES_PER_PIXEL = 220
"""What a restorer takes for each pixel of a tile."""


def side_beside(nbytes: int, bytes_per_pixel: int = BYTES_PER_PIXEL) -> int:
    """Side of the square tiles of a picture that takes `nbytes` itself: the more it takes, the smaller they are.

    `bytes_per_pixel` is what the network takes for each pixel of a tile.
    """
    return min(SIDE, math.isqrt(max(MEMORY - nbytes, MEMORY // 4) // bytes_per_pixel))


@dataclass(frozen=True)
class Span:
    """A tile along one axis: the network sees `start:stop`, and of its answer `core_start:core_stop` is kept."""

    start: int
    stop: int
    core_start: int
    core_stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def spans(length: int, window: int, reach: int, stride: int) -> list[Span]:
    """Covers an axis with windows of at most `window` pixels (rounded up where reach and stride need more).

    Windows start at multiples of the stride, and each core has at least `reach` pixels of context, or the picture's border,
    on both sides. All windows have one length; only the last is up to a stride shorter, where the axis is no multiple of it.
    """
    reach = _round_up(reach, stride)
    longest_step = max(_round_up(window, stride) - 2 * reach, stride)
    if length <= longest_step + 2 * reach:
        return [Span(0, length, 0, length)]
    count = _divide_up(length - 2 * reach, longest_step)
    step = _round_up(_divide_up(length - 2 * reach, count), stride)
    window = step + 2 * reach
    # The last window is moved back to the border rather than cut short: a new shape costs the runtime a new plan
    starts = [*range(0, (count - 1) * step, step), _round_up(length - window, stride)]
    cuts = [0, *(start + reach for start in starts[1:]), length]
    return [Span(start, min(start + window, length), cuts[i], cuts[i + 1]) for i, start in enumerate(starts)]


@dataclass(frozen=True)
class Grid:
    """A picture's tiles: every row with every column."""

    rows: list[Span]
    columns: list[Span]

    @classmethod
    def whole(cls, height: int, width: int) -> Self:
        """One piece."""
        return cls([Span(0, height, 0, height)], [Span(0, width, 0, width)])

    @classmethod
    def cut(cls, height: int, width: int, *, reach: int, stride: int, side: int) -> Self:
        """Tiles of about `side`² pixels: square, unless the picture is narrow."""
        # A context above half of the tile would make most of the work overlap
        side = max(side, 4 * reach)
        # A narrow picture's tiles are longer, but not without end: the network pads a single row to its multiple
        long_side = side * side // min(max(min(height, width), side // 4), side)
        row_side, column_side = (side, long_side) if height <= width else (long_side, side)
        return cls(spans(height, row_side, reach, stride), spans(width, column_side, reach, stride))

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def windows(self, source: Pixels) -> Iterator[tuple[Span, Span, Pixels]]:
        """Yields each tile's row, column and pixels with context, as they were at the start.

        Cores of tiles that were yielded before may be overwritten in `source` meanwhile.
        """
        if source.shape[1] <= source.shape[0]:
            yield from _bands(source, self.rows, self.columns)
        else:  # bands along the shorter side, because a band is copied
            for column, row, window in _bands(source.swapaxes(0, 1), self.columns, self.rows):
                yield row, column, window.swapaxes(0, 1)


def _bands(source: Pixels, rows: list[Span], columns: list[Span]) -> Iterator[tuple[Span, Span, Pixels]]:
    band, start, stop = source[:0], 0, 0
    for row in rows:
        # The band holds the original pixels of its rows; those that it shares with the band before come from there
        band = np.concatenate([band[row.start - start :], source[stop : row.stop]])
        start, stop = row.start, row.stop
        for column in columns:
            yield row, column, band[:, column.start : column.stop]


def _divide_up(value: int, by: int) -> int:
    return -(-value // by)


def _round_up(value: int, multiple: int) -> int:
    return _divide_up(value, multiple) * multiple
