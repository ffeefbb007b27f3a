"""Restoration: the held-out part stays apart, and a sample depends on (seed, index) alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from translate.data import paired
from translate.data.damage import Damage
from translate.data.layouts import pairs_in
from translate.data.paired import Restoration, Sources, both, crop, find, read, transplant, validation
from translate.data.pixels import start_worker, to_tensor


def write(path: Path, value: int, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 60, (size[1], size[0], 3))
    Image.fromarray((noise + value).astype(np.uint8)).save(path)
    return path


def joined(path: Path, left: int, right: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.concatenate([np.full((30, 40, 3), left), np.full((30, 40, 3), right)], axis=1)
    Image.fromarray(picture.astype(np.uint8)).save(path)
    return path


def test_upright_pairs_are_only_cut_out() -> None:
    picture = np.arange(20 * 20 * 3, dtype=np.uint16).astype(np.uint8).reshape(20, 20, 3)
    for seed in range(8):
        (square,) = crop((picture,), 20, np.random.default_rng(seed), upright=True)
        np.testing.assert_array_equal(square, picture)


def test_a_plain_folder_of_photographs_is_enough(tmp_path: Path) -> None:
    for k in range(20):
        write(tmp_path / f"{k}.png", k)
    sources = find(tmp_path, ["missing"], ["missing"], ["missing"], holdout=0.2)
    assert len(sources.clean) + len(sources.held_clean) == 20
    assert 0 < len(sources.held_clean) < 12
    assert not sources.pairs


def test_the_held_out_part_does_not_move_when_files_are_added(tmp_path: Path) -> None:
    for k in range(30):
        write(tmp_path / f"{k}.png", k)
    before = set(find(tmp_path, ["."], [], [], holdout=0.3).held_clean)
    for k in range(30, 60):
        write(tmp_path / f"{k}.png", k)
    after = find(tmp_path, ["."], [], [], holdout=0.3)
    assert before <= set(after.held_clean)
    assert not before & set(after.clean)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pictures"):
        find(tmp_path, [], [], [], 0.1)


def sources_in(tmp_path: Path) -> Sources:
    clean = [write(tmp_path / "clean" / f"{k}.png", 20 * k) for k in range(4)]
    return Sources(clean, pairs_in(joined(tmp_path / "pairs" / "0.png", 40, 120).parent))


def test_a_sample_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    sources = sources_in(tmp_path)
    first, second = Restoration(sources, size=24, seed=5), Restoration(sources, size=24, seed=5)
    second.preload()
    for index in (7, 3, 1000):
        for one, other in zip(first[index], second[index], strict=True):
            assert one.shape == (3, 24, 24)
            assert one.equal(other)
    assert not first[1].y.equal(Restoration(sources, size=24, seed=6)[1].y)


def test_pictures_smaller_than_the_crop_are_continued(tmp_path: Path) -> None:
    assert Restoration(sources_in(tmp_path), size=100)[0].x.shape == (3, 100, 100)


def test_pairs_alone_are_enough(tmp_path: Path) -> None:
    sources = Sources([], pairs_in(joined(tmp_path / "0.png", 40, 120).parent))
    sample = Restoration(sources, size=16, transplant=0)[3]
    assert sample.x.unique().tolist() == pytest.approx([40 / 127.5 - 1])
    assert sample.y.unique().tolist() == pytest.approx([120 / 127.5 - 1])


def test_transplanted_marks_change_another_picture_as_much() -> None:
    clean = np.full((1, 3, 3), 100, np.uint8)
    damaged = clean + np.array([[[40], [-30 % 256], [0]]], np.uint8)
    dark, light = (transplant(damaged, clean, np.full((1, 3, 3), level, np.uint8)) for level in (10, 230))
    assert dark[..., 0].tolist() == [[50, 0, 10]]
    assert light[..., 0].tolist() == [[255, 200, 230]]


def test_a_transplanted_white_mark_is_not_the_colour_that_it_hid() -> None:
    red = np.array([[[240, 20, 20]]], np.uint8)
    assert transplant(np.full_like(red, 255), red, np.zeros_like(red)).tolist() == [[[235, 235, 235]]]
    assert transplant(np.zeros_like(red), red, np.full_like(red, 255)).tolist() == [[[15, 15, 15]]]


def test_a_transplant_onto_the_same_picture_is_the_pair() -> None:
    clean, damaged = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    assert np.array_equal(transplant(damaged, clean, clean), damaged)


def test_validation_holds_whole_fixed_pictures(tmp_path: Path) -> None:
    held = [write(tmp_path / f"{k}.png", 20 * k) for k in range(3)]
    sources = Sources([], [], held_clean=held, held_pairs=pairs_in(joined(tmp_path / "pairs" / "p.png", 40, 120).parent))
    sets, again = validation(sources), validation(sources)
    assert {name: len(pictures) for name, pictures in sets.items()} == {"old": 1, "noise25": 3, "clean": 3}
    assert sets["noise25"][0].x.shape == (1, 3, 30, 40)
    assert sets["noise25"][1].x.equal(again["noise25"][1].x)
    assert sets["clean"][0].x.equal(sets["clean"][0].y)


def test_large_pictures_are_measured_in_the_middle_and_tiny_ones_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired, "MEASURED", 20)
    held = [write(tmp_path / "large.png", 1), write(tmp_path / "tiny.png", 2, (40, 10))]
    sets = validation(Sources([], [], held_clean=held))
    assert [picture.x.shape[2:] for picture in sets["clean"]] == [(20, 20)]
    assert sets["clean"][0].y[0].equal(to_tensor(read(held[0])[5:25, 10:30]))
    assert validation(Sources(held, [])) == {}


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_keeps_its_range(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257).save(tmp_path / f"p.{suffix}")
    assert np.array_equal(read(tmp_path / f"p.{suffix}")[..., 0], np.arange(256).reshape(16, 16))


def test_partners_that_do_not_match_are_told_before_training(tmp_path: Path) -> None:
    write(tmp_path / "A" / "p.png", 1)
    write(tmp_path / "B" / "p.png", 1, (41, 30))
    with pytest.raises(ValueError, match="partner"):
        Restoration(Sources([], pairs_in(tmp_path))).preload()


def test_overlays_are_no_photographs(tmp_path: Path) -> None:
    write(tmp_path / "marks" / "m.png", 1)
    with pytest.raises(ValueError, match="no pictures"):
        find(tmp_path, ["clean"], [], ["marks"], 0)
    write(tmp_path / "p.png", 1)
    assert find(tmp_path, ["clean"], [], ["marks"], 0).clean == [tmp_path / "p.png"]


def test_nothing_left_to_train_on_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "p.png", 1)
    with pytest.raises(ValueError, match="holdout"):
        find(tmp_path, [], [], [], holdout=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_samples_are_the_same_from_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    data = Restoration(sources_in(tmp_path), size=24, damage=Damage(untouched=0, noise=0, marked=0))
    loader = DataLoader(data, 1, sampler=range(8), num_workers=workers, worker_init_fn=start_worker)
    for index, batch in enumerate(loader):
        assert batch.x[0].equal(data[index].x), index


def test_pairs_are_read_with_8_bits(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 16), 257 * 9, np.uint16)).save(tmp_path / "p.png")
    assert [(side.shape, side.dtype, side.max()) for side in both(pairs_in(tmp_path)[0])] == [((8, 8, 3), np.uint8, 9)] * 2
