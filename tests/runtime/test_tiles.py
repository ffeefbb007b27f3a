"""Tiles cover a picture exactly, with enough context, in few shapes, and survive being overwritten."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.runtime.tiles import BYTES_PER_PIXEL, MEMORY, SIDE, Grid, side_beside, spans

axes = {
    "length": st.integers(1, 3000),
    "window": st.integers(1, 400),
    "reach": st.integers(0, 90),
    "stride": st.sampled_from([1, 2, 3, 4, 16]),
}


@given(**axes)
def test_cores_cover_the_axis_once(length: int, window: int, reach: int, stride: int) -> None:
    covered = [place for span in spans(length, window, reach, stride) for place in range(span.core_start, span.core_stop)]
    assert covered == list(range(length))


@given(**axes)
def test_every_core_has_its_context_or_the_border(length: int, window: int, reach: int, stride: int) -> None:
    for span in spans(length, window, reach, stride):
        assert span.start <= max(0, span.core_start - reach)
        assert span.stop >= min(length, span.core_stop + reach)
        assert 0 <= span.start < span.stop <= length


@given(**axes)
def test_windows_keep_to_the_stride(length: int, window: int, reach: int, stride: int) -> None:
    for span in spans(length, window, reach, stride):
        assert span.start % stride == 0
        assert span.core_start % stride == 0
        assert span.stop % stride == 0 or span.stop == length


@given(**axes)
def test_windows_have_one_length_and_the_last_is_no_sliver(length: int, window: int, reach: int, stride: int) -> None:
    *others, last = [len(span) for span in spans(length, window, reach, stride)]
    assert len(set(others)) <= 1
    assert all(other - stride < last <= other for other in others)


@given(**axes)
def test_windows_are_no_longer_than_asked_for_where_the_context_fits(length: int, window: int, reach: int, stride: int) -> None:
    fitting = max(window, 2 * (reach + stride) + stride) + stride
    assert all(len(span) <= fitting for span in spans(length, window, reach, stride))


def test_a_picture_that_fits_is_one_tile() -> None:
    assert len(Grid.cut(1000, 1152, reach=130, stride=16, side=1152)) == 1


@pytest.mark.parametrize(("height", "width"), [(10_000, 10_000), (3000, 4000), (1, 200_000), (200_000, 1), (20_000, 700)])
def test_tiles_are_bounded_and_their_overlap_moderate(height: int, width: int) -> None:
    grid = Grid.cut(height, width, reach=130, stride=16, side=1152)
    areas = [len(row) * len(column) for row in grid.rows for column in grid.columns]
    padded = [max(len(row), 16) * max(len(column), 16) for row in grid.rows for column in grid.columns]
    assert max(padded) <= 1168**2
    assert sum(areas) < 2 * height * width
    assert len(grid) == len(areas)


def test_large_pictures_have_smaller_tiles() -> None:
    assert side_beside(36_000_000) == SIDE
    assert SIDE > side_beside(600_000_000) > side_beside(2_000_000_000) == side_beside(20_000_000_000) > 1000
    assert 600_000_000 + BYTES_PER_PIXEL * side_beside(600_000_000) ** 2 <= MEMORY


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    reach=st.integers(0, 9),
    stride=st.sampled_from([1, 4]),
    side=st.integers(8, 40),
)
def test_windows_show_the_original_while_it_is_overwritten(height: int, width: int, reach: int, stride: int, side: int) -> None:
    original = np.random.default_rng(0).integers(0, 65536, (height, width, 3), dtype=np.uint16)
    picture = original.copy()
    for row, column, window in Grid.cut(height, width, reach=reach, stride=stride, side=side).windows(picture):
        np.testing.assert_array_equal(window, original[row.start : row.stop, column.start : column.stop])
        picture[row.core_start : row.core_stop, column.core_start : column.core_stop] += 1
    np.testing.assert_array_equal(picture, original + 1)
