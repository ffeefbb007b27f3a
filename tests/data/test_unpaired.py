"""Unpaired: the held-out part stays apart, and both pictures of a sample are drawn on their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from translate.data.layouts import Part, recognise
from translate.data.unpaired import Domains, Unpaired, find, validation


def write(path: Path, level: int, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 40, size[0])[None, :, None] + level
    Image.fromarray(np.broadcast_to(ramp, (size[1], size[0], 3)).astype(np.uint8)).save(path)
    return path


def domains(tmp_path: Path, n: int = 6) -> Part:
    for k in range(n):
        write(tmp_path / "A" / f"{k}.png", 10 + k)
        write(tmp_path / "B" / f"{k}.png", 200 + k, (30, 50))
    return find(tmp_path, recognise(tmp_path), 0).learned


def test_validation_folders_are_held_out_whole(tmp_path: Path) -> None:
    made = {name: [write(tmp_path / name / f"{k}.png", k) for k in range(3)] for name in ("trainA", "trainB", "valA", "valB")}
    found = find(tmp_path, recognise(tmp_path), 0.5)
    sides = (*found.learned, *found.held)
    assert [[view.path for view in side] for side in sides] == list(made.values())
    assert str(found).startswith("trainA and trainB, valA and valB: 3 and 3 pictures")


def test_pictures_of_one_name_are_held_out_together(tmp_path: Path) -> None:
    for k in range(40):
        write(tmp_path / "A" / f"{k}.png", k)
        write(tmp_path / "B" / f"{k}.jpg", k)
    found = find(tmp_path, recognise(tmp_path), 0.3)
    x, y = ([view.name for view in side] for side in found.held)
    assert x == y
    assert 4 < len(x) < 20
    assert [(pair.x.name, pair.y.name) for pair in found.pairs] == list(zip(x, y, strict=True))
    assert not {view.name for view in found.learned.x} & set(x)


def test_joined_pictures_are_two_domains_as_well(tmp_path: Path) -> None:
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, 20:] = 255
    Image.fromarray(picture).save(tmp_path / "p.png")
    part = find(tmp_path, recognise(tmp_path, target_first=True), 0).learned
    sample = Unpaired(part, size=16, load=20)[0]
    assert (sample.x.unique().tolist(), sample.y.unique().tolist()) == ([1], [-1])


def test_a_domain_without_pictures_is_named(tmp_path: Path) -> None:
    write(tmp_path / "A" / "1.png", 0)
    (tmp_path / "B").mkdir()
    with pytest.raises(ValueError, match="no target pictures"):
        find(tmp_path, recognise(tmp_path), 0)


def test_samples_come_from_their_domains_and_depend_on_seed_and_index_alone(tmp_path: Path) -> None:
    data = Unpaired(domains(tmp_path), size=16, load=24, seed=3)
    first = data[7]
    assert first.x.shape == first.y.shape == (3, 16, 16)
    assert first.x.max() < 0 < first.y.min()
    assert not Unpaired(data.part, size=16, load=24, seed=4)[7].x.equal(first.x)
    data.preload()
    for path in tmp_path.rglob("*.png"):
        path.unlink()  # kept decoded, they are not asked for again
    again = data[7]
    assert first.x.equal(again.x)
    assert first.y.equal(again.y)


def test_partners_change(tmp_path: Path) -> None:
    data = Unpaired(domains(tmp_path, 3), size=16, load=16)
    levels = {(round(float(s.x.min()), 3), round(float(s.y.min()), 3)) for s in map(data.__getitem__, range(200))}
    assert len({x for x, _ in levels}) >= 3
    assert len(levels) >= 9  # every x with every y


def test_mirroring_is_a_choice(tmp_path: Path) -> None:
    found = domains(tmp_path, 1)

    def rising(data: Unpaired) -> list[bool]:  # the ramp goes up to the right
        return [bool(data[k].x[0, 0, 0] < data[k].x[0, 0, -1]) for k in range(30)]

    assert 5 < sum(rising(Unpaired(found, size=16, load=16))) < 25
    assert all(rising(Unpaired(found, size=16, load=16, mirror=False)))


def test_each_side_has_its_channels(tmp_path: Path) -> None:
    data = Unpaired(domains(tmp_path), size=16, load=24, channels=(1, 3))
    first = data[0]
    assert (first.x.shape, first.y.shape) == ((1, 16, 16), (3, 16, 16))
    data.preload()
    assert data[0].x.equal(first.x)


def test_crops_must_fit() -> None:
    with pytest.raises(ValueError, match=r"data\.load = 20"):
        Unpaired(Part(), size=24, load=20)


def test_validation_is_of_the_training_size(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / "valA" / f"{k}.png", k)
        write(tmp_path / "valB" / f"{k + 1}.png", 100 + k)
    write(tmp_path / "trainA" / "t.png", 0)
    write(tmp_path / "trainB" / "t.png", 0)
    known, alone = validation(find(tmp_path, recognise(tmp_path), 0), 16, (3, 1))
    assert [len(known), len(alone)] == [2, 3]
    assert {tuple(side.shape) for pair in (*known, *alone) for side in pair} == {(1, 3, 16, 16), (1, 1, 16, 16)}
    assert validation(Domains("", Part(), Part()), 16) == ([], [])
