"""Layouts: each is recognised, partners find each other, and what is held out stays held out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from translate.data.layouts import Pair, Part, View, is_held, pairs_in, pictures, rank, recognise


def write(path: Path, size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return path


def names(part: Part) -> tuple[list[str], list[str]]:
    x, y = ([view.path.parent.name + "/" + view.path.stem + view.half for view in side] for side in (part.x, part.y))
    return x, y


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("{split}{side}", "trainA and trainB, valA and valB, testA and testB"),
        ("{split}/{side}", "train/A and train/B, val/A and val/B, test/A and test/B"),
        ("{side}/{split}", "A/train and B/train, A/val and B/val, A/test and B/test"),
    ],
)
def test_two_folders_with_splits(tmp_path: Path, pattern: str, says: str) -> None:
    made = {
        (split, side): write(tmp_path / pattern.format(split=split, side=side) / "1.png")
        for split in ("train", "val", "test")
        for side in "AB"
    }
    found = recognise(tmp_path)
    assert found.says == says
    assert not found.paired
    for split, part in found.splits.items():
        assert part.pairs() == [Pair(View(made[split, "A"], "1"), View(made[split, "B"], "1"))]
    assert found.learned(0.5) == (found.train, found.val)


@pytest.mark.parametrize(
    ("folders", "told"),
    [(("A", "B"), {}), (("cats", "dogs"), {}), (("dogs", "cats"), {"source": "dogs", "target": "cats"})],
)
def test_two_plain_folders(tmp_path: Path, folders: tuple[str, str], told: dict[str, str]) -> None:
    for folder in folders:
        write(tmp_path / folder / "sub" / "1.png")
    (tmp_path / "notes").mkdir()
    found = recognise(tmp_path, **told)
    assert [view.path for view in (*found.train.x, *found.train.y)] == [tmp_path / name / "sub" / "1.png" for name in folders]
    assert list(found.splits) == ["train"]
    assert recognise(tmp_path, **told, target_first=True).train == Part(found.train.y, found.train.x)


def test_two_folders_of_any_name_in_train_and_valid(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        for side in ("labels", "photos"):
            write(tmp_path / split / side / f"{split}.png")
    found = recognise(tmp_path)
    assert names(found.val) == (["labels/valid"], ["photos/valid"])
    assert names(found.train) == (["labels/train"], ["photos/train"])


def test_joined_pictures(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(tmp_path / split / "1.png", (16, 8))
    found = recognise(tmp_path)
    assert (found.says, found.paired) == ("joined pictures in train, val", True)
    assert names(found.val) == (["val/1left"], ["val/1right"])
    assert names(recognise(tmp_path, target_first=True).train) == (["train/1right"], ["train/1left"])
    assert recognise(tmp_path / "val").train == found.val


def test_only_pictures_twice_as_wide_as_high_are_taken_for_joined_ones(tmp_path: Path) -> None:
    write(tmp_path / "1.png", (17, 8))
    assert recognise(tmp_path).paired
    write(tmp_path / "2.png", (12, 8))
    with pytest.raises(ValueError, match=r"no layout is recognised\. Those that are: trainA and trainB;.*pairs\.csv"):
        recognise(tmp_path)
    assert len(recognise(tmp_path, joined=True).train.x) == 2


@pytest.mark.parametrize("mark", [",", "\t", ", "])
def test_lists(tmp_path: Path, mark: str) -> None:
    for name in ("in/1.png", "in/2.png", "out/one.png", "out/two.png"):
        write(tmp_path / name)
    lines = [["source", "target"], ["# a remark"], [], ["in/1.png", "out/one.png"], ["in/2.png", "out/two.png", "val"]]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(mark.join(line) for line in lines), encoding="utf-8")
    for found in (recognise(tmp_path), recognise(path)):
        assert found.paired
        assert found.train.pairs() == [Pair(View(tmp_path / "in/1.png", "in/1"), View(tmp_path / "out/one.png", "in/1"))]
        assert names(found.val) == (["in/2"], ["out/two"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,b.png\na.png,gone.png", r"line 2: .*gone\.png is not there"),
        ("a.png", "line 1: 1 cells"),
        ("a.png,b.png,later", "line 1: 'later' is no split"),
    ],
)
def test_mistakes_in_lists_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "a.png")
    write(tmp_path / "b.png")
    (tmp_path / "pairs.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        recognise(tmp_path)


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"p\.png is no list"):
        recognise(write(tmp_path / "p.png"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pictures"):
        recognise(tmp_path)
    with pytest.raises(ValueError, match="no folders cats and dogs"):
        recognise(tmp_path, "cats", "dogs")
    with pytest.raises(ValueError, match="both folders or neither"):
        recognise(tmp_path, "cats")
    with pytest.raises(ValueError, match="joined"):
        recognise(tmp_path, "cats", "dogs", joined=True)
    with pytest.raises(ValueError, match="not there"):
        recognise(tmp_path / "gone")
    for name in ("cats", "dogs", "birds"):
        write(tmp_path / name / "1.png")
    with pytest.raises(ValueError, match=r"data\.source="):
        recognise(tmp_path)


def test_lonely_pictures_and_doubles_are_named(tmp_path: Path) -> None:
    for name in ("A/one.png", "A/two.png", "B/two.jpg"):
        write(tmp_path / name)
    part = recognise(tmp_path).train
    assert [view.name for view in part.lonely] == ["one"]
    assert [pair.x.name for pair in part.known] == ["two"]
    with pytest.raises(ValueError, match=r"1 pictures have no partner.*one\.png"):
        part.pairs()
    write(tmp_path / "A/two.jpg")
    with pytest.raises(ValueError, match=r"two\.jpg and .*two\.png"):
        recognise(tmp_path).train.pairs()


@pytest.mark.parametrize("target_first", [False, True])
def test_folders_that_are_known_to_hold_pairs(tmp_path: Path, target_first: bool) -> None:
    write(tmp_path / "joined" / "train" / "1.png", (10, 8))
    (pair,) = pairs_in(tmp_path / "joined", target_first)
    assert (pair.x.half, pair.y.half) == (("right", "left") if target_first else ("left", "right"))
    x, y = write(tmp_path / "two" / "A" / "1.jpg"), write(tmp_path / "two" / "B" / "1.png")
    (pair,) = pairs_in(tmp_path / "two", target_first)
    assert (pair.x.path, pair.y.path) == ((y, x) if target_first else (x, y))


def test_hidden_files_and_other_files_are_no_pictures(tmp_path: Path) -> None:
    write(tmp_path / "a.PNG")
    write(tmp_path / "._a.png")
    (tmp_path / "notes.md").touch()
    assert pictures(tmp_path) == [tmp_path / "a.PNG"]


@given(st.lists(st.text(min_size=1), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_what_is_held_out_follows_from_the_name_and_grows_with_the_share(
    given_names: list[str], share: float, more: float
) -> None:
    part = Part([View(Path("x"), name) for name in given_names], [View(Path("y"), name) for name in given_names])
    free, held = part.held(share)
    assert [view.name for view in held.x] == [view.name for view in held.y]
    assert sorted((*free.x, *held.x)) == sorted(part.x)
    assert set(held.x) <= set(part.held(max(share, more))[1].x)
    assert not part.held(0)[1]
    assert not part.held(1)[0]


def test_about_the_share_is_held_out() -> None:
    assert sum(is_held(f"picture {k}", 0.3) for k in range(1000)) == pytest.approx(300, abs=45)
    assert rank("folder/a") == rank("a") != rank("b")
