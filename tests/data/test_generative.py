"""Mixtures and digits: what is drawn, and that it depends on (seed, index) alone."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from translate.data.generative import digits, grid, mnist, ring


def test_the_ring_lies_on_its_circle() -> None:
    batch = ring(modes=8, radius=1, deviation=0.01).__getitems__(range(4000))
    assert batch.x.shape == (4000, 2)
    assert batch.x.norm(dim=1).mean().item() == pytest.approx(1, abs=1e-3)
    centre = batch.x[batch.y == 2].mean(dim=0)  # a quarter of the way round
    assert centre.tolist() == pytest.approx([0, 1], abs=0.01)
    assert batch.x[batch.y == 2].std(dim=0).tolist() == pytest.approx([0.01, 0.01], rel=0.15)


def test_the_grid_reaches_from_end_to_end() -> None:
    mixture = grid(side=5)
    assert len(mixture.centres) == 25
    assert mixture.centres.min(axis=0).tolist() == [-1, -1]
    assert mixture.centres.max(axis=0).tolist() == [1, 1]
    assert set(mixture.__getitems__(range(2000)).y.tolist()) == set(range(25))


def test_a_batch_depends_on_seed_and_index_alone() -> None:
    one, again, later, other = (
        mixture.__getitems__(range(start, start + 8)).x
        for mixture, start in ((ring(seed=1), 0), (ring(seed=1), 0), (ring(seed=1), 8), (ring(seed=2), 0))
    )
    assert one.equal(again)
    assert not one.equal(later)
    assert not one.equal(other)


def test_digits_are_split_without_overlap() -> None:
    learned, held = digits(0.2), digits(0.2, held=True)
    assert digits(size=16).pictures.shape[1:] == (1, 16, 16)
    with pytest.raises(ValueError, match="sizes from 8 to 64"):
        digits(size=7)
    assert len(learned) + len(held) == 1797
    assert learned.pictures.shape[1:] == (1, 8, 8)
    assert learned.pictures.min() == -1
    assert learned.pictures.max() == 1
    rows = {tuple(row) for row in learned.pictures.flatten(1).tolist()}
    assert sum(tuple(row) in rows for row in held.pictures.flatten(1).tolist()) < 5


def write_mnist(folder: Path, count: int = 3) -> None:
    for kind in ("train", "t10k"):
        pictures = np.full((count, 28, 28), 255, np.uint8)
        (folder / f"{kind}-images-idx3-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">4I", 0x803, count, 28, 28) + pictures.tobytes())
        )
        (folder / f"{kind}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + bytes(range(count)))


def test_mnist_is_padded_with_background(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    data = mnist(tmp_path, size=32)
    assert data.pictures.shape == (3, 1, 32, 32)
    assert (data.pictures[:, :, 2:30, 2:30] == 1).all()
    assert (data.pictures[:, :, :2] == -1).all()
    assert data.classes.tolist() == [0, 1, 2]
    assert mnist(tmp_path, size=16, held=True).pictures.shape == (3, 1, 16, 16)


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train-images"):
        mnist(tmp_path)
    write_mnist(tmp_path)
    with pytest.raises(ValueError, match="sizes from 8 to 32"):
        mnist(tmp_path, size=64)
    for content in (b"", b"\x1f\x8b garbage", struct.pack(">2I", 0x999, 3), struct.pack(">2I", 0x801, 9) + b"abc"):
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(content)
        with pytest.raises(ValueError, match="train-labels"):
            mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 2) + b"ab")
    with pytest.raises(ValueError, match="3 train pictures but 2 labels"):
        mnist(tmp_path)


def test_pictures_are_drawn_with_their_classes() -> None:
    data = digits()
    batch = data.__getitems__(range(500))
    for x, y in zip(batch.x[:20], batch.y[:20], strict=True):
        found = (data.pictures == x).flatten(1).all(dim=1).nonzero().flatten()
        assert y in data.classes[found]
    assert torch.equal(batch.x, data.__getitems__(range(500)).x)
