"""Unpaired: the layouts are found, the held-out part stays apart, and both pictures of a sample are drawn on their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from translate.data import unpaired
from translate.data.unpaired import Domains, Unpaired, find, scaled, validation


def write(path: Path, level: int, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 40, size[0])[None, :, None] + level
    Image.fromarray(np.broadcast_to(ramp, (size[1], size[0], 3)).astype(np.uint8)).save(path)
    return path


def domains(tmp_path: Path, n: int = 6) -> Domains:
    for k in range(n):
        write(tmp_path / "A" / f"{k}.png", 10 + k)
        write(tmp_path / "B" / f"{k}.png", 200 + k, (30, 50))
    return find(tmp_path, "", "", 0)


@pytest.mark.parametrize(("names", "given"), [(("trainA", "trainB"), ("", "")), (("A", "B"), ("", "")), (("cats", "dogs"),) * 2])
def test_layouts(tmp_path: Path, names: tuple[str, str], given: tuple[str, str]) -> None:
    x, y = write(tmp_path / names[0] / "1.png", 0), write(tmp_path / names[1] / "2.png", 1)
    assert find(tmp_path, *given, holdout=0) == Domains([x], [y], [], [])


def test_validation_folders_are_held_out_whole(tmp_path: Path) -> None:
    made = {name: [write(tmp_path / name / f"{k}.png", k) for k in range(3)] for name in ("trainA", "trainB", "valA", "valB")}
    assert find(tmp_path, "", "", 0.5) == Domains(*made.values())


def test_pictures_of_one_name_are_held_out_together(tmp_path: Path) -> None:
    for k in range(40):
        write(tmp_path / "A" / f"{k}.png", k)
        write(tmp_path / "B" / f"{k}.jpg", k)
    found = find(tmp_path, "", "", 0.3)
    assert [path.stem for path in found.held_x] == [path.stem for path in found.held_y]
    assert 4 < len(found.held_x) < 20
    assert len(found.pairs) == len(found.held_x)
    assert all(x.stem == y.stem for x, y in found.pairs)
    assert not {path.stem for path in found.x} & {path.stem for path in found.held_x}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trainA and trainB or A and B"):
        find(tmp_path, "", "", 0.1)
    with pytest.raises(ValueError, match="no folders cats and dogs"):
        find(tmp_path, "cats", "dogs", 0.1)
    with pytest.raises(ValueError, match="both folders or neither"):
        find(tmp_path, "cats", "", 0.1)
    write(tmp_path / "A" / "1.png", 0)
    (tmp_path / "B").mkdir()
    with pytest.raises(ValueError, match="B has no pictures"):
        find(tmp_path, "", "", 0)


def test_samples_come_from_their_domains_and_depend_on_seed_and_index_alone(tmp_path: Path) -> None:
    data = Unpaired(domains(tmp_path), size=16, load=24, seed=3)
    first = data[7]
    assert first.x.shape == first.y.shape == (3, 16, 16)
    assert first.x.max() < 0 < first.y.min()
    data.preload()
    again = data[7]
    assert first.x.equal(again.x)
    assert first.y.equal(again.y)
    assert not Unpaired(data.domains, size=16, load=24, seed=4)[7].x.equal(first.x)


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


def test_scaling_keeps_the_shape_and_the_mean() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    small = scaled(picture, 30)
    assert small.shape == (30, 40, 3)
    assert small.mean() == pytest.approx(picture.mean(), abs=1)
    assert small.std() < picture.std() / 2  # noise is averaged, not picked
    assert scaled(picture, 180).shape == (180, 240, 3)


def test_crops_must_fit() -> None:
    with pytest.raises(ValueError, match=r"data\.load = 20"):
        Unpaired(Domains([], [], [], []), size=24, load=20)


def test_validation_is_of_the_training_size(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / "valA" / f"{k}.png", k)
        write(tmp_path / "valB" / f"{k + 1}.png", 100 + k)
    write(tmp_path / "trainA" / "t.png", 0)
    write(tmp_path / "trainB" / "t.png", 0)
    known, alone = validation(find(tmp_path, "", "", 0), 16)
    assert [len(known), len(alone)] == [2, 3]
    assert {tuple(side.shape) for pair in (*known, *alone) for side in pair} == {(1, 3, 16, 16)}
    assert unpaired.validation(Domains([], [], [], []), 16) == ([], [])
