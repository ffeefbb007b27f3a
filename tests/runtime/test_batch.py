"""A folder job at work: what it writes, and what it leaves behind when it is cut short."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from tests.conftest import MakeModel
from tests.folders import NAMES, contents, draw, finish, inodes
from translate.runtime import batch, codecs
from translate.runtime.batch import run, side_by_side
from translate.runtime.errors import JobRefused, JobStopped
from translate.runtime.job import Settings, prepare
from translate.runtime.journal import read_journal
from translate.runtime.model import Model
from translate.runtime.picture import Picture


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


def test_a_file_that_comes_to_be_in_the_way_meanwhile_stays(scans: Path, blur: Path, tmp_path: Path) -> None:
    job = prepare(scans, tmp_path / "out", Settings(str(blur)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAMES[0]).write_bytes(b"a stranger's")
    failed = [record for record in finish(job) if record.status == "failed"]
    assert [record.source for record in failed] == NAMES[:1]
    assert "came to be" in str(failed[0].reason)
    assert (tmp_path / "out" / NAMES[0]).read_bytes() == b"a stranger's"


@pytest.mark.parametrize("overwrite", [False, True])
def test_names_that_the_file_system_takes_for_one_are_refused_before_the_first_picture(
    overwrite: bool, blur: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "A.jpg", seed=1)
    job = prepare(tmp_path / "in", tmp_path / "out", Settings(str(blur), format="PNG"), overwrite=overwrite)
    monkeypatch.setattr(batch, "_tells_case", lambda folder: False)
    with pytest.raises(JobRefused, match=r"A\.jpg and a\.png would both become .*capital and small"):
        finish(job)
    assert not list((tmp_path / "out").iterdir())
    assert not (tmp_path / "out.journal.jsonl").exists()


def test_names_that_differ_in_case_are_two_pictures_elsewhere(blur: Path, tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "A.png", seed=1)
    twice = len(list((tmp_path / "in").iterdir())) == 2
    assert batch._tells_case(tmp_path) == twice
    records = finish(prepare(tmp_path / "in", tmp_path / "out", Settings(str(blur))))
    assert {record.status for record in records} == {"done"}
    assert contents(tmp_path / "out").keys() == contents(tmp_path / "in").keys()


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

    job = prepare(scans, out, Settings(str(blur)))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(JobStopped, match="No space left"):
            list(run(job, Model.open(job.model), jobs=1))
    assert saves == 3
    assert sorted(contents(out)) == NAMES[:2]
    assert sorted(record.source for record in finish(prepare(scans, out, resume=True))) == NAMES[2:]
    assert sorted(contents(out)) == sorted(NAMES)


def test_a_stopped_job_gives_up_the_picture_at_work_within_a_tile(tmp_path: Path, blur: Path, small_tiles: None) -> None:
    draw(tmp_path / "in" / "a.png", height=100, width=100)
    job, stop, shares = prepare(tmp_path / "in", tmp_path / "out", Settings(str(blur))), Event(), []

    def progress(_: str, share: float) -> None:
        shares.append(share)
        stop.set()

    assert list(run(job, Model.open(job.model), stop=stop, progress=progress)) == []
    assert len(shares) == 1
    assert 0 < shares[0] < 1
    assert contents(tmp_path / "out") == {}


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


@pytest.mark.parametrize("stage", ["decode", "encode"])
def test_too_little_memory_fails_one_picture_that_is_not_called_damaged(
    stage: str, scans: Path, blur: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = getattr(codecs, stage), 0

    def exhausted(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise MemoryError
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(codecs, stage, exhausted)
        records = finish(prepare(scans, tmp_path / "out", Settings(str(blur))), jobs=1)
    (failed,) = [record for record in records if record.status == "failed"]
    assert str(failed.reason).startswith(f"{scans / NAMES[0]}: not enough memory")
    assert "damaged" not in str(failed.reason)
    assert [item.name for item in prepare(scans, tmp_path / "out", resume=True).todo] == NAMES[:1]


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


# Mutants tried: MemoryError is left to the clause that calls files damaged; names are not folded; a file system never tells case.
