"""Which pictures are found, and what their translations are called."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.folders import draw, finish
from translate.runtime.errors import JobRefused
from translate.runtime.job import Settings, prepare
from translate.runtime.plan import output_name, plan_folder


def test_strays_are_named_and_skipped(scans: Path, blur: Path, tmp_path: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "sub dir/desktop.ini", "notes.txt", ".hidden/x.png", "__MACOSX/y.png"):
        (scans / name).parent.mkdir(exist_ok=True)
        (scans / name).write_bytes(b"stray")
    (scans / "gone.png").symlink_to("nowhere.png")
    (scans / "self.png").symlink_to("self.png")
    (scans / "sub dir" / "up").symlink_to(scans, target_is_directory=True)
    os.mkfifo(scans / "pipe.png")
    records = prepare(scans, tmp_path / "out", Settings(str(blur))).records()
    strays = [".DS_Store", ".hidden", "Thumbs.db", "__MACOSX", "gone.png", "notes.txt", "pipe.png", "self.png"]
    assert sorted(records) == [*strays, "sub dir/desktop.ini", "sub dir/up"]
    assert {record.status for record in records.values()} == {"skipped"}


def test_linked_folders_are_followed(scans: Path, tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere" / "x.png")
    (scans / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert "link/x.png" in [item.name for item in plan_folder(scans, tmp_path / "out").items]


def test_links_to_the_outputs_are_not_followed(scans: Path, blur: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (scans / "link").symlink_to(out, target_is_directory=True)
    (scans / "up").symlink_to(tmp_path, target_is_directory=True)
    out.mkdir()
    finish(prepare(scans, out, Settings(str(blur))))
    assert not prepare(scans, out, resume=True).todo


def test_links_from_the_outputs_to_originals_are_refused(scans: Path, blur: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub dir").symlink_to(scans / "sub dir", target_is_directory=True)
    with pytest.raises(JobRefused, match="link to originals"):
        prepare(scans, tmp_path / "out", Settings(str(blur)), overwrite=True)


def test_a_folder_that_cannot_be_read_is_a_failure(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.iterdir

    def locked(folder: Path) -> Iterator[Path]:
        if folder.name == "sub dir":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(folder)

    monkeypatch.setattr(Path, "iterdir", locked)
    (stray,) = plan_folder(scans, tmp_path / "out").strays
    assert (stray.name, stray.failed) == ("sub dir/", True)
    assert "Permission denied" in stray.reason


@pytest.mark.parametrize(
    ("name", "format", "suffix", "expected"),
    [
        ("a/b.jpeg", None, "", "a/b.jpeg"),
        ("a/b.jpeg", "JPEG", "", "a/b.jpeg"),
        ("a/b.JPG", "PNG", "", "a/b.png"),
        ("a.b/c.d.tif", None, "-new", "a.b/c.d-new.tif"),
        ("x.HEIC", None, "", "x.jpg"),
        ("x.heic", "TIFF", "", "x.tif"),
    ],
)
def test_output_names(name: str, format: str | None, suffix: str, expected: str) -> None:
    assert output_name(name, format, suffix) == expected


def test_a_telephones_two_files_of_one_picture_do_not_collide(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("IMG_1.HEIC", "IMG_1.JPG", "IMG_2.heic", "a.avif", "a.heic"):
        (scans / name).write_bytes(b"")
    plan = plan_folder(scans, tmp_path / "out", suffix="-new")
    assert [item.output.name for item in plan.items] == [
        "IMG_1.HEIC-new.jpg",
        "IMG_1-new.JPG",
        "IMG_2-new.jpg",
        "a.avif-new.jpg",
        "a.heic-new.jpg",
    ]


def test_a_link_to_what_holds_the_folder_is_not_followed(tmp_path: Path) -> None:
    scans = tmp_path / "all" / "scans"
    scans.mkdir(parents=True)
    (tmp_path / "all" / "stranger.jpg").write_bytes(b"")
    (scans / "loop").symlink_to(tmp_path / "all", target_is_directory=True)
    plan = plan_folder(scans, tmp_path / "out")
    assert plan.items == []
    assert [stray.name for stray in plan.strays] == ["loop"]
