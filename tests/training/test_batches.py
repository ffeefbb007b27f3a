"""Batches: every sample once, whoever works on it, and known by the names of its files."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import Dataset

from tests.small_training import SMALL, TINY
from translate.data import generative, paired
from translate.training import tasks
from translate.training.batches import Shares, batches, files
from translate.training.recipe import Recipe


class Numbers(Dataset[torch.Tensor]):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(index)


def recipe(*settings: str) -> Recipe:
    return Recipe.load("gan-ring.toml", ["steps=5", "workers=0", *settings])


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(0, 5))
def test_every_sample_is_drawn_once_by_one_process(each: int, world: int, accumulate: int, first: int) -> None:
    given = recipe(f"batch={each * world}", f"accumulate={accumulate}")
    drawn = [[list(share) for share in Shares(given, first, rank, world)] for rank in range(world)]
    assert all(len(shares) == (5 - first) * accumulate for shares in drawn)
    alone = [list(share) for share in Shares(given, first, 0, 1)]
    assert [list(chain(*together)) for together in zip(*drawn, strict=True)] == alone
    assert list(chain(*alone)) == list(range(first * given.samples, 5 * given.samples))


def test_processes_together_load_what_one_loads() -> None:
    given = recipe("batch=4")
    ring = generative.ring(seed=3)  # draws whole batches, of which each process takes its part
    for data in (Numbers(), ring):
        whole = list(batches(given, data, 2, None))
        halves = [list(batches(given, data, 2, None, rank, 2)) for rank in range(2)]
        assert len(whole) == 3
        for one, parts in zip(whole, zip(*halves, strict=True), strict=True):
            fields = zip(*parts, strict=True) if data is ring else [parts]
            joined = [torch.cat(field) for field in fields]
            assert all(a.equal(b) for a, b in zip(joined, one if data is ring else [one], strict=True))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Pictures of one grey level each, which tells them apart however they are cut: 8 of them, in A, and their negatives in B."""
    for k in range(8):
        for name, level in (("A", 10 * k + 5), ("B", 250 - 10 * k)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(np.full((30, 24, 3), level, np.uint8)).save(tmp_path / name / f"{k}.png")
    return tmp_path


@pytest.mark.parametrize(("name", "settings"), [("pix2pix", ["generator.levels=2"]), ("cyclegan", [])])
def test_names_are_those_of_the_pictures_in_the_sample(name: str, settings: list[str], folders: Path) -> None:
    given = Recipe.load(f"{name}.toml", [*TINY, *settings, "data.holdout=0", "batch=2", "accumulate=2"])
    data: Any = tasks.find(given, folders).dataset()
    for step in range(4):
        expected = []
        for index in range(4 * step, 4 * step + 4):
            levels = [round(float((side.mean() + 1) * 127.5)) for side in data[index]]
            expected += [
                str(folders / "A" / f"{(levels[0] - 5) // 10}.png"),
                str(folders / "B" / f"{(250 - levels[1]) // 10}.png"),
            ]
        assert files(data, given, step) == list(dict.fromkeys(expected))


def test_names_of_restoration_are_those_that_were_read(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Recipe.load("restore.toml", [*SMALL, "data.holdout=0"])
    data: Any = tasks.find(given, folders).dataset()
    data._cache.clear()
    read: list[str] = []
    real = paired.read
    monkeypatch.setattr("translate.data.paired.read", lambda path: (read.append(str(path)), real(path))[1])
    for step in range(5):
        read.clear()
        for index in range(2 * step, 2 * step + 2):
            data[index]
        seen = list(dict.fromkeys(read))
        assert seen
        assert files(data, given, step) == seen


def test_samples_without_files_are_numbered() -> None:
    assert files(generative.ring(), recipe("batch=4", "accumulate=2"), 3) == ["samples 24 to 31, which are drawn from no files"]
