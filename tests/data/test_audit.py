"""The audit finds what was put there, calls it by its name, and leaves sound data alone."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import camera

from translate.data.audit import Report, audit, find
from translate.runtime.picture import Picture


def scene(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Smooth blobs, each seed its own."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=92)
    return path


def pairs(root: Path, n: int = 6, splits: tuple[str, ...] = ("train", "val")) -> Path:
    for k in range(n):
        for number, split in enumerate(splits):
            picture = scene(100 * number + k)
            save(root / f"{split}A" / f"{split}{k}.png", picture)
            save(root / f"{split}B" / f"{split}{k}.png", 255 - picture)
    return root


def look(root: Path, **told: object) -> Report:
    options = {"kind": None, "source": "", "target": "", "joined": False, "target_first": False} | told
    return audit(root, *find(root, **options))  # type: ignore[arg-type]


def codes(report: Report) -> dict[str, int]:
    return {finding.code: len(finding.where) for finding in report.findings if finding.code != "tiny"}


def test_sound_pairs_have_nothing_to_complain_of(tmp_path: Path) -> None:
    report = look(pairs(tmp_path))
    assert (report.kind, report.sound, codes(report)) == ("aligned", True, {})
    assert [(row.split, row.side, row.count, row.width, row.modes) for row in report.rows[:2]] == [
        ("train", side, 6, (64, 64, 64), {"RGB, 8 bits": 6}) for side in ("source", "target")
    ]
    assert [finding.code for finding in report.findings] == ["tiny"]


def test_unreadable_pictures_break(tmp_path: Path) -> None:
    (pairs(tmp_path) / "trainA" / "train0.png").write_bytes(b"no picture")
    report = look(tmp_path)
    assert (report.sound, codes(report)) == (False, {"unreadable": 1})
    assert "train0.png: not a picture" in report.findings[0].where[0]


def test_a_picture_in_two_splits_breaks_whatever_its_format(tmp_path: Path) -> None:
    save(pairs(tmp_path) / "valA" / "val0.png", scene(3))  # train3, which is a PNG; this has another name and no partner more
    Picture(scene(3)).save(tmp_path / "valA" / "val0.tif")
    (tmp_path / "valA" / "val0.png").unlink()
    report = look(tmp_path)
    assert (report.sound, codes(report)) == (False, {"leak": 1})


def test_versions_across_splits_and_copies_within_are_warned_of(tmp_path: Path) -> None:
    root = pairs(tmp_path)
    save(root / "valA" / "val0.png", cv2.resize(cv2.resize(scene(3), (40, 40)), (64, 64)))
    for side in "AB":
        save(root / f"train{side}" / "again.png", scene(4) if side == "A" else 255 - scene(4))
    report = look(root)
    assert (report.sound, codes(report)) == (True, {"near-leak": 1, "duplicate": 2})


def test_partners_that_are_missing_unequal_or_of_one_name_break(tmp_path: Path) -> None:
    root = pairs(tmp_path)
    save(root / "trainA" / "alone.png", scene(50))
    save(root / "trainB" / "train1.png", scene(51, 64, 70))
    report = look(root)
    assert (report.sound, codes(report)) == (False, {"lonely": 1, "unequal": 1})
    save(root / "trainA" / "train2.jpg", scene(52))
    assert "names" in codes(look(root))


def test_moved_pairs_are_warned_of(tmp_path: Path) -> None:
    root = pairs(tmp_path)
    large = np.repeat(camera()[100:300, 100:300, None], 3, axis=2)
    save(root / "trainA" / "moved.png", large[40:-40, 40:-40])
    save(root / "trainB" / "moved.png", 255 - large[40:-40, 20:-60])
    report = look(root)
    assert codes(report) == {"moved": 1}
    assert "by 20 pixels to the right and 0 down" in report.findings[0].where[0]


def test_unpaired_pictures_need_no_partners(tmp_path: Path) -> None:
    for k in range(4):
        save(tmp_path / "cats" / f"c{k}.png", scene(k))
        save(tmp_path / "dogs" / f"d{k}.png", scene(20 + k, 50, 70))
    report = look(tmp_path)
    assert (report.layout, report.kind, codes(report)) == ("cats and dogs", "unpaired", {})
    save(tmp_path / "dogs" / "cat.png", scene(0))
    assert codes(look(tmp_path)) == {"both-sides": 1}
    assert look(tmp_path, kind="aligned").sound is False


def test_joined_pictures(tmp_path: Path) -> None:
    for k in range(3):
        save(tmp_path / f"{k}.png", np.concatenate([scene(k), 255 - scene(k)], axis=1))
    save(tmp_path / "3.png", np.concatenate([scene(3, 64, 65), 255 - scene(3)], axis=1))
    report = look(tmp_path)
    assert codes(report) == {"odd": 1}
    assert [(row.side, row.count) for row in report.rows] == [("picture", 4)]


def test_pixels_of_several_kinds_are_warned_of(tmp_path: Path) -> None:
    root = pairs(tmp_path)
    Picture(np.full((64, 64, 1), 900, np.uint16)).save(root / "trainA" / "train1.png")
    Image.fromarray(255 - scene(2)).convert("RGBA").save(root / "trainB" / "train2.png")
    (root / "notes.gif").touch()
    (root / ".hidden").touch()
    report = look(root)
    assert report.sound
    assert codes(report) == {"mixed": 2, "alpha": 1, "strange": 1}
    assert [row.modes for row in report.rows if (row.split, row.side) == ("train", "source")] == [
        {"RGB, 8 bits": 5, "grey, 16 bits": 1}
    ]


def test_flat_masks_are_no_copies(tmp_path: Path) -> None:
    root = pairs(tmp_path)
    for name in ("trainB/train0.png", "valB/val0.png", "valB/val1.png"):
        save(root / name, np.zeros((64, 64, 3), np.uint8))
    assert codes(look(root)) == {}


def test_a_side_without_pictures_breaks(tmp_path: Path) -> None:
    save(tmp_path / "A" / "1.png", scene(0))
    (tmp_path / "B").mkdir()
    assert "empty" in codes(look(tmp_path, kind="unpaired"))


def test_plain_photographs_are_looked_at_too(tmp_path: Path) -> None:
    save(tmp_path / "1.png", scene(0))
    save(tmp_path / "2.png", scene(0))
    report = look(tmp_path)
    assert (report.kind, codes(report)) == ("photographs", {"duplicate": 1})
    with pytest.raises(ValueError, match="no layout is recognised"):
        look(tmp_path, kind="unpaired")


def test_what_cannot_be_audited_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pictures"):
        look(tmp_path)
    with pytest.raises(ValueError, match="not there"):
        look(tmp_path / "gone")
    (tmp_path / "pairs.csv").write_text("a.png,b.png")
    save(tmp_path / "c.png", scene(0))
    with pytest.raises(ValueError, match="line 1"):
        look(tmp_path)
