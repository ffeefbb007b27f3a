"""A folder job against its promises: what it reads, what it refuses, what it leaves behind when it is cut short."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import MakeModel
from translate.runtime import batch
from translate.runtime.batch import run, side_by_side
from translate.runtime.errors import JobRefused, JobStopped
from translate.runtime.job import Job, Settings, prepare
from translate.runtime.journal import Journal, Record, read_journal
from translate.runtime.model import Model
from translate.runtime.picture import Picture
from translate.runtime.plan import output_name, plan_folder

NAMES = ["a.png", "b.jpg", "sub dir/c.PNG", "sub dir/é/d [1].webp", "z.bmp"]


def draw(path: Path, seed: int = 0, height: int = 12, width: int = 17) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    os.utime(path, (1_000_000_000 + seed, 1_000_000_000 + seed))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    for seed, name in enumerate(NAMES):
        draw(folder / name, seed)
    return folder


@pytest.fixture
def blur(make_model: MakeModel) -> Path:
    return make_model("blur")


def finish(job: Job, jobs: int = 2) -> list[Record]:
    return list(run(job, Model.open(job.model), jobs=jobs)) if job.todo else []


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Hash and date of each file, hidden ones too."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def inodes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_a_folder_keeps_its_structure_its_names_and_its_dates(scans: Path, blur: Path, tmp_path: Path) -> None:
    records = finish(prepare(scans, tmp_path / "out", Settings(str(blur))))
    assert sorted(record.source for record in records) == sorted(NAMES)
    assert {record.status for record in records} == {"done"}
    assert {name: date for name, (_, date) in contents(tmp_path / "out").items()} == {
        name: date for name, (_, date) in contents(scans).items()
    }


def test_outputs_are_what_the_model_gives(scans: Path, blur: Path, tmp_path: Path) -> None:
    finish(prepare(scans, tmp_path / "out", Settings(str(blur))))
    for name in NAMES:
        assert (tmp_path / "out" / name).read_bytes() == Model.open(blur)(scans / name).encode()


def test_the_number_of_threads_changes_nothing(scans: Path, make_model: MakeModel, tmp_path: Path) -> None:
    settings = Settings(str(make_model("noisy")), seed=7, compare=True)
    for jobs in (1, 3):
        finish(prepare(scans, tmp_path / f"out{jobs}", settings), jobs)
    assert contents(tmp_path / "out1") == contents(tmp_path / "out3")
    assert contents(tmp_path / "out1.compare") == contents(tmp_path / "out3.compare")


def test_each_picture_has_noise_of_its_own_that_its_reported_seed_gives_again(
    scans: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model("noisy")
    records = finish(prepare(scans, tmp_path / "out", Settings(str(model), seed=7)))
    assert len({record.seed for record in records}) == len(NAMES)
    for record in records:
        again = Model.open(model)(scans / record.source, seed=record.seed)
        assert (tmp_path / "out" / record.source).read_bytes() == again.encode()


def test_large_pictures_wait_for_one_another(scans: Path, blur: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "IN_FLIGHT", 0)
    counts, opened, open_picture, save = [], 0, Picture.open, Picture.save

    def counted_open(source: object) -> Picture:
        nonlocal opened
        opened += 1
        counts.append(opened)
        return open_picture(source)  # type: ignore[arg-type]

    def counted_save(picture: Picture, path: Path, **options: object) -> None:
        nonlocal opened
        save(picture, path, **options)  # type: ignore[arg-type]
        opened -= 1

    monkeypatch.setattr(Picture, "open", counted_open)
    monkeypatch.setattr(Picture, "save", counted_save)
    assert len(finish(prepare(scans, tmp_path / "out", Settings(str(blur))), jobs=4)) == len(NAMES)
    assert set(counts) == {1}


# Cut short

KILL = """
import os, signal, sys, threading
from pathlib import Path
from translate.runtime import journal
from translate.runtime.batch import run
from translate.runtime.job import Settings, prepare
from translate.runtime.model import Model

moment, source, target, model = sys.argv[1:]
real, saved, die = os.replace, 0, lambda: os.kill(os.getpid(), signal.SIGKILL)

def replace(temporary, path):
    global saved
    saved += 1
    if saved == 3 and moment == "before the rename":
        die()
    real(temporary, path)
    if saved == 3 and moment == "after the rename":
        die()

def finish(self, record):
    if saved == 3 and moment == "in the journal's line":
        self._file.write(b'{"source": "sub')
        die()
    real_finish(self, record)

os.replace, real_finish, journal.Journal.finish = replace, journal.Journal.finish, finish
job = prepare(Path(source), Path(target), Settings(model))
list(run(job, Model.open(job.model), jobs=1))
"""


@pytest.mark.parametrize("moment", ["before the rename", "after the rename", "in the journal's line"])
def test_after_kill_9_a_resumed_job_ends_byte_for_byte_as_if_nothing_had_happened(
    scans: Path, blur: Path, tmp_path: Path, moment: str
) -> None:
    finish(prepare(scans, tmp_path / "whole", Settings(str(blur))))
    out = tmp_path / "out"
    words = [sys.executable, "-c", KILL, moment, str(scans), str(out), str(blur)]
    killed = subprocess.run(words, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, check=False)
    assert killed.returncode == -signal.SIGKILL
    before = inodes(out)

    records = finish(prepare(scans, out, resume=True))

    assert sorted(record.source for record in records) == NAMES[2:]
    assert contents(out) == contents(tmp_path / "whole")
    assert {name: inodes(out)[name] for name in NAMES[:2]} == {name: before[name] for name in NAMES[:2]}
    past = read_journal(tmp_path / "out.journal.jsonl")
    assert past is not None
    assert sorted(past.records) == sorted(NAMES)
    assert not past.started


@given(st.integers(0, 10_000))
def test_a_journal_cut_anywhere_is_read_up_to_its_last_whole_line(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path, None, {"settings": {}}) as journal:
        for name in ("é", "b"):
            journal.start(name)
            journal.finish(Record(name, "done", read=(1, 2), wrote=[(3, 4)]))
    whole = path.read_bytes()
    cut = cut % (len(whole) + 1)
    path.write_bytes(whole[:cut])
    past = read_journal(path)
    lines = whole[:cut].count(b"\n")
    assert (past is None) == (lines == 0)
    if past:
        assert len(past.started) == (lines in (2, 4))
        assert len(past.records) == (lines - 1) // 2
        with Journal(path, past, {}) as journal:
            journal.start("c")
        assert path.read_bytes() == whole[: past.length] + b'{"started": "c"}\n'


def test_a_full_disk_stops_the_job_at_once_and_it_resumes(
    scans: Path, blur: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, saves, real = tmp_path / "out", 0, os.replace

    def full(source: Path, target: Path) -> None:
        nonlocal saves
        saves += 1
        if saves == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    job, records = prepare(scans, out, Settings(str(blur))), []
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(JobStopped, match="No space left"):
            records.extend(run(job, Model.open(job.model), jobs=1))
    assert saves == 3
    assert sorted(contents(out)) == NAMES[:2]
    assert sorted(record.source for record in finish(prepare(scans, out, resume=True))) == NAMES[2:]
    assert sorted(contents(out)) == sorted(NAMES)


def test_a_stopped_job_gives_up_the_picture_at_work_within_a_tile(tmp_path: Path, blur: Path) -> None:
    draw(tmp_path / "in" / "a.png", height=1300, width=1300)
    job, stop, shares = prepare(tmp_path / "in", tmp_path / "out", Settings(str(blur))), Event(), []

    def progress(_: str, share: float) -> None:
        shares.append(share)
        stop.set()

    assert list(run(job, Model.open(job.model), stop=stop, progress=progress)) == []
    assert len(shares) == 1
    assert 0 < shares[0] < 1
    assert contents(tmp_path / "out") == {}


def test_a_full_disk_leaves_no_half_line_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, None, {}) as journal:
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
            with pytest.raises(OSError, match="full"):
                journal.start("a")
        assert path.read_bytes() == before
        journal.start("b")
        assert path.read_bytes() == before + b'{"started": "b"}\n'


def test_a_finished_job_has_nothing_to_do(scans: Path, blur: Path, tmp_path: Path) -> None:
    finish(prepare(scans, tmp_path / "out", Settings(str(blur))))
    before = contents(tmp_path)
    assert prepare(scans, tmp_path / "out", resume=True).todo == []
    assert contents(tmp_path) == before


def test_what_changed_or_vanished_is_done_again(scans: Path, blur: Path, tmp_path: Path) -> None:
    finish(prepare(scans, tmp_path / "out", Settings(str(blur))))
    draw(scans / "a.png", seed=9)
    (tmp_path / "out" / "b.jpg").unlink()
    draw(scans / "new.png", seed=10)
    assert [item.name for item in prepare(scans, tmp_path / "out", resume=True).todo] == ["a.png", "b.jpg", "new.png"]
    finish(prepare(scans, tmp_path / "out", resume=True))
    assert (tmp_path / "out" / "a.png").read_bytes() == Model.open(blur)(scans / "a.png").encode()


def test_an_output_that_somebody_edited_is_left_alone(scans: Path, blur: Path, tmp_path: Path) -> None:
    finish(prepare(scans, tmp_path / "out", Settings(str(blur))))
    draw(tmp_path / "out" / "a.png", seed=99)
    job = prepare(scans, tmp_path / "out", resume=True)
    assert (job.todo, job.changed()) == ([], [str(tmp_path / "out" / "a.png")])
    draw(scans / "a.png", seed=9)
    with pytest.raises(JobRefused, match=r"a\.png: there already"):
        prepare(scans, tmp_path / "out", resume=True)


def test_one_job_at_a_time(scans: Path, blur: Path, tmp_path: Path) -> None:
    job = prepare(scans, tmp_path / "out", Settings(str(blur)))
    first = run(job, Model.open(job.model))
    next(first)
    with pytest.raises(JobRefused, match="another job"):
        next(run(job, Model.open(job.model)))
    first.close()


# Pictures and strays


def test_a_broken_picture_fails_alone(scans: Path, blur: Path, tmp_path: Path) -> None:
    (scans / "broken.jpg").write_bytes((scans / "b.jpg").read_bytes()[:200])
    (scans / "empty.png").write_bytes(b"")
    (scans / "photo.gif").write_bytes(b"GIF89a")
    records = {record.source: record for record in finish(prepare(scans, tmp_path / "out", Settings(str(blur))))}
    assert {name for name, record in records.items() if record.status == "failed"} == {"broken.jpg", "empty.png", "photo.gif"}
    assert all(record.reason for record in records.values() if record.status == "failed")
    assert sorted(contents(tmp_path / "out")) == sorted(NAMES)
    assert [item.name for item in prepare(scans, tmp_path / "out", resume=True).todo] == ["broken.jpg", "empty.png", "photo.gif"]


def test_an_unforeseen_error_fails_one_picture_and_is_named(
    scans: Path, blur: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Picture.open

    def odd(source: Path) -> Picture:
        if source.name == "a.png":
            raise ZeroDivisionError("odd")
        return real(source)

    monkeypatch.setattr(Picture, "open", odd)
    failed = [r for r in finish(prepare(scans, tmp_path / "out", Settings(str(blur)))) if r.status == "failed"]
    assert [(record.source, record.reason) for record in failed] == [("a.png", "ZeroDivisionError: odd")]


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


def test_a_name_that_is_wrong_about_the_format_is_warned_of(tmp_path: Path, blur: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / "a.jpg")
    (record,) = finish(prepare(tmp_path / "in", tmp_path / "out", Settings(str(blur))))
    assert record.format == "JPEG"
    assert any("a PNG" in warning for warning in record.warnings)


def test_names_that_are_not_utf8_work(tmp_path: Path, blur: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / "in" / "a.png").rename(tmp_path / "in" / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    finish(prepare(tmp_path / "in", tmp_path / "out", Settings(str(blur))))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert prepare(tmp_path / "in", tmp_path / "out", resume=True).todo == []


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


@pytest.mark.parametrize(("channels", "dtype", "scale"), [(1, np.uint8, 1), (3, np.uint16, 1), (3, np.uint8, 2)])
def test_side_by_side_holds_both_pictures(channels: int, dtype: type, scale: int) -> None:
    rng = np.random.default_rng(0)
    peak = np.iinfo(dtype).max
    before = Picture(rng.integers(0, peak, (5, 7, channels), dtype), rng.integers(0, peak, (5, 7), dtype))
    shape = (5 * scale, 7 * scale)
    after = Picture(rng.integers(0, peak, (*shape, channels), dtype), rng.integers(0, peak, shape, dtype))
    both = side_by_side(before, after)
    assert np.array_equal(both.pixels[::scale, : 7 * scale : scale], before.pixels)
    assert np.array_equal(both.pixels[:, -7 * scale :], after.pixels)
    assert (both.pixels[:, 7 * scale : -7 * scale] == peak).all()
    assert both.alpha is not None
    assert both.alpha.shape == both.pixels.shape[:2]


# Refusals

Refused = Callable[[Path], tuple[Path, Path, Settings, dict[str, bool]]]
REFUSED: dict[str, Refused] = {
    "overlap": lambda top: (top / "scans", top / "scans", Settings(), {}),
    "mix with the originals": lambda top: (top / "scans", top / "scans" / "out", Settings(), {}),
    "would mix": lambda top: (top / "scans" / "sub dir", top / "scans", Settings(), {}),
    "outputs would mix": lambda top: (top / "out.compare", top / "out", Settings(compare=True), {}),
    "both become": lambda top: (top / "twins", top / "out", Settings(format="PNG"), {}),
    "there already": lambda top: (top / "scans", top / "strangers", Settings(), {}),
    "is a file": lambda top: (top / "scans", top / "scans" / "a.png", Settings(), {}),
    "no folder and no file": lambda top: (top / "nowhere", top / "out", Settings(), {}),
    "the picture itself": lambda top: (top / "scans" / "a.png", top / "scans", Settings(), {}),
    "single picture": lambda top: (top / "scans" / "a.png", top / "x.png", Settings(), {"resume": True}),
    "choose one": lambda top: (top / "scans", top / "out", Settings(), {"resume": True, "overwrite": True}),
    "not between 0 and 1": lambda top: (top / "scans", top / "out", Settings(amount=1.5), {}),
    "unknown format": lambda top: (top / "scans", top / "out", Settings(format="GIF"), {}),
    "another folder": lambda top: (top / "scans", top / "out", Settings(suffix="/../x"), {}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refusals_touch_nothing(
    scans: Path, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setenv("TRANSLATE_WEIGHTS", str(make_model("blur", name="restore").parent))
    draw(tmp_path / "twins" / "a.jpg")
    draw(tmp_path / "twins" / "a.png")
    draw(tmp_path / "out.compare" / "a.png")
    draw(tmp_path / "strangers" / "a.png", seed=5)
    before = contents(tmp_path)
    source, target, settings, how = REFUSED[reason](tmp_path)
    with pytest.raises(JobRefused, match=reason):
        prepare(source, target, settings, **how)
    assert contents(tmp_path) == before


def test_a_second_job_into_the_same_folder_is_refused_unless_told(scans: Path, blur: Path, tmp_path: Path) -> None:
    finish(prepare(scans, tmp_path / "out", Settings(str(blur))))
    with pytest.raises(JobRefused, match="an earlier job"):
        prepare(scans, tmp_path / "out", Settings(str(blur), amount=0.5))
    finish(prepare(scans, tmp_path / "out", Settings(str(blur), amount=0), overwrite=True))
    assert np.array_equal(Picture.open(tmp_path / "out" / "a.png").pixels, Picture.open(scans / "a.png").pixels)
    assert prepare(scans, tmp_path / "out", resume=True).settings.amount == 0


def test_resuming_otherwise_than_begun_is_refused_and_says_what_differs(
    scans: Path, blur: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    finish(prepare(scans, out, Settings(str(blur), amount=0.5)))
    for settings in (Settings(amount=0.25), Settings(format="PNG"), Settings(quality=50), Settings(compare=True)):
        (name,) = [name for name, value in vars(settings).items() if value is not None]
        with pytest.raises(JobRefused, match=f"begun with {name} "):
            prepare(scans, out, settings, resume=True)
    with pytest.raises(JobRefused, match="another model"):
        prepare(scans, out, Settings(str(make_model("invert"))), resume=True)
    draw(tmp_path / "others" / "a.png")
    with pytest.raises(JobRefused, match="pictures from"):
        prepare(tmp_path / "others", out, resume=True)
    make_model("blur", version="2")  # the same file name, other bytes
    with pytest.raises(JobRefused, match="another model"):
        prepare(scans, out, resume=True)


def test_something_else_in_the_journals_place_is_refused(scans: Path, blur: Path, tmp_path: Path) -> None:
    (tmp_path / "out.journal.jsonl").write_text(json.dumps({"not": "ours"}) + "\n")
    with pytest.raises(JobRefused, match="no journal"):
        prepare(scans, tmp_path / "out", Settings(str(blur)), resume=True)


def test_a_target_that_cannot_be_written_is_refused_before_work(scans: Path, blur: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    job = prepare(scans, tmp_path / "file" / "out", Settings(str(blur)))
    with pytest.raises(JobRefused, match="cannot write"):
        finish(job)
