"""Statistics: taken norm by norm over all tiles they are those of the whole picture, and so are the tiles."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import MakeModel
from tests.runtime.pictures import random_picture
from tests.tiny_models import build
from translate.runtime import statistics, tiles
from translate.runtime.card import STAGES_KEY
from translate.runtime.errors import InvalidModel, TranslationFailed
from translate.runtime.model import Model
from translate.runtime.picture import Picture
from translate.runtime.statistics import Piece, Statistics, to_floats


@pytest.fixture
def settle(make_model: MakeModel, small_tiles: None) -> Model:
    return Model.open(make_model("settle"), threads=1)


def uneven(height: int, width: int, bits: int = 8, channels: int = 3, seed: int = 0) -> Picture:
    """Noise that is dark on the left and bright on the right: no tile is like the whole."""
    picture = random_picture(height, width, bits=bits, channels=channels, seed=seed)
    picture.pixels[:, : width // 2] //= 9
    return picture


def in_one_piece(model: Model, picture: Picture) -> np.ndarray:
    feeds = {"image": to_floats(picture.pixels), "statistics": np.zeros((1, 9, 2), np.float32), "given": np.zeros((), np.float32)}
    translated, own = model._session.run(["translated", "own"], feeds)
    peak = np.iinfo(picture.pixels.dtype).max
    return np.floor(np.clip(translated[0, :, :, : picture.pixels.shape[2]], 0, 1) * peak + 0.5).astype(int), own


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)
@given(
    height=st.integers(1, 130),
    width=st.integers(1, 130),
    channels=st.sampled_from([1, 3]),
    bits=st.sampled_from([8, 16]),
)
def test_tiles_equal_the_whole(settle: Model, height: int, width: int, channels: int, bits: int) -> None:
    picture = uneven(height, width, bits, channels)
    assert height * width < 60 * 60 or len(settle._grid(height, width, 0)) > 1
    difference = settle(picture).pixels - in_one_piece(settle, picture)[0]
    # What is kept from norm to norm has half precision: 1/2048 of a value
    assert np.abs(difference).max() <= (1 if bits == 8 else 40)


def test_left_to_themselves_tiles_would_differ(settle: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    picture = uneven(90, 120)
    wanted = in_one_piece(settle, picture)[0]
    monkeypatch.setattr(Statistics, "measure", lambda self, *others: self.none)
    assert np.abs(settle(picture).pixels - wanted).max() > 30


def test_statistics_are_those_of_the_whole(settle: Model) -> None:
    picture = uneven(70, 90)
    measured, calls = measure(settle, picture)
    np.testing.assert_allclose(measured, in_one_piece(settle, picture)[1], rtol=2e-3, atol=2e-4)
    assert settle._statistics is not None
    assert calls == settle._statistics.steps(70, 90, 24)
    assert calls > 20


def measure(model: Model, picture: Picture) -> tuple[np.ndarray, int]:
    calls: list[None] = []
    assert model._statistics is not None
    given = model._statistics.measure(picture.pixels, 24, lambda *axes: {}, model._run, lambda: calls.append(None))
    assert given["given"] == 1
    return given["statistics"], len(calls)


def test_of_a_picture_too_large_a_spread_part_is_looked_at(settle: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = uneven(120, 160)
    whole, _ = measure(settle, picture)
    assert settle._statistics is not None
    monkeypatch.setattr(statistics, "PIECE", 24)
    monkeypatch.setattr(statistics, "MEMORY", int(2 * settle._statistics._plan.held * 120 * 160 / 2))
    part, _ = measure(settle, picture)
    assert sum(piece.height * piece.width for piece in settle._statistics._pieces(120, 160)) < 120 * 160 / 2
    np.testing.assert_allclose(part, whole, rtol=0.15, atol=0.05)
    assert np.abs(part - whole).max() > 1e-3


@given(height=st.integers(1, 9000), width=st.integers(1, 9000), memory=st.integers(10**6, 10**9))
def test_pieces_are_spread_inside_the_picture(tiny: Statistics, height: int, width: int, memory: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "MEMORY", memory)
        patch.setattr(statistics, "PIECE", 64)
        pieces = tiny._pieces(height, width)
    covered = sum(piece.height * piece.width for piece in pieces)
    assert len({(piece.top, piece.left) for piece in pieces}) == len(pieces)
    for top, left, tall, wide in pieces:
        assert 0 <= top <= height - tall
        assert 0 <= left <= width - wide
    rows, columns = (sorted({piece[axis] for piece in pieces}) for axis in (0, 1))
    for starts, side in ((rows, pieces[0].height), (columns, pieces[0].width)):
        assert all(after - before >= side for before, after in pairwise(starts))
    if covered < height * width:
        assert covered <= max(memory / (2 * tiny._plan.held), 64 * 64)
        assert len(pieces) == 1 or covered > 0.2 * min(memory / (2 * tiny._plan.held), height * width)
    else:
        assert pieces == [Piece(0, 0, height, width)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Statistics:
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    path.write_bytes(build("settle"))
    measurer = Model.open(path)._statistics
    assert measurer is not None
    return measurer


def test_progress_counts_what_is_measured_as_well(settle: Model) -> None:
    calls: list[tuple[int, int]] = []
    settle(uneven(60, 80), progress=lambda done, total: calls.append((done, total)))
    assert settle._statistics is not None
    total = settle._statistics.steps(60, 80, 24) + len(settle._grid(60, 80, 0))
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_a_consumed_picture_gives_its_memory(settle: Model) -> None:
    picture = uneven(60, 80)
    expected = settle(picture).pixels
    result = settle(picture, consume=True)
    assert np.shares_memory(result.pixels, picture.pixels)
    np.testing.assert_array_equal(result.pixels, expected)


def test_a_picture_of_one_tile_has_its_own_statistics(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model, picture = Model.open(make_model("settle")), uneven(50, 60)
    monkeypatch.setattr(Statistics, "measure", lambda *others: pytest.fail("measured"))
    np.testing.assert_array_equal(model(picture).pixels, in_one_piece(model, picture)[0])


def test_statistics_that_are_no_numbers_are_an_error(settle: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_sums", lambda core: np.full((2, len(core)), np.nan))
    with pytest.raises(TranslationFailed, match="no numbers"):
        settle(uneven(60, 60))


def test_wider_networks_have_smaller_tiles(settle: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "SIDE", 1792)
    assert settle._statistics is not None
    narrow = settle._side(0)
    monkeypatch.setattr(settle._statistics, "bytes_per_pixel", 1280)
    assert narrow > settle._side(0) == 883


def test_a_file_without_a_plan_is_refused(tmp_path: Path) -> None:
    model = onnx.load_from_string(build("settle"))
    (entry,) = (entry for entry in model.metadata_props if entry.key == STAGES_KEY)
    for text in ("{}", '{"stages": []}', "no json"):
        entry.value = text
        (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(InvalidModel, match=r"odd\.onnx holds a plan of stages that this version cannot read"):
            Model.open(tmp_path / "odd.onnx")
    model.metadata_props.remove(entry)
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InvalidModel, match=r"odd\.onnx holds no 'translate\.stages'"):
        Model.open(tmp_path / "odd.onnx")


# Mutants tried: statistics of tiles with their context; too little context; kept values read where they are already overwritten;
# the mean square for the variance; every norm's statistics at the first one's place.
