"""The folder job on several processes: what is done by one is done by many, and a process that is killed loses nothing."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import MakeModel
from tests.folders import NAMES, contents, draw, finish, inodes
from translate.runtime import cluster
from translate.runtime.errors import JobRefused, JobStopped
from translate.runtime.job import Job, Settings, prepare
from translate.runtime.journal import Record, read_journal
from translate.runtime.picture import Picture


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but Ray itself: one worker, in this process."""

    def answers(job: Job, jobs: int | None, stop: Event) -> Iterator[cluster.Answer]:
        worker = cluster._Worker(job)
        yield from (worker.answer(item) for item in job.todo)

    ray = ModuleType("ray")
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", ModuleType("ray.data"))
    monkeypatch.setattr(ray, "data", sys.modules["ray.data"], raising=False)
    monkeypatch.setattr(cluster, "_connected", lambda cpus: nullcontext())
    monkeypatch.setattr(cluster, "_answers", answers)


def told(records: list[Record]) -> dict[str, dict[str, Any]]:
    """What two runs have in common: not the time it took, nor the dates of reading."""
    return {record.source: record.line() | {"seconds": None} for record in records}


@pytest.mark.usefixtures("without_ray")
@pytest.mark.parametrize("kind", ["blur", "noisy"])
def test_files_and_records_are_those_of_one_process(kind: str, scans: Path, make_model: MakeModel, tmp_path: Path) -> None:
    (scans / "broken.png").write_bytes(b"no picture")
    settings = Settings(str(make_model(kind)), seed=7, compare=True)
    alone = finish(prepare(scans, tmp_path / "alone", settings))
    shared = list(cluster.run(prepare(scans, tmp_path / "shared", settings)))
    assert told(shared) == told(alone)
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
    assert contents(tmp_path / "shared.compare") == contents(tmp_path / "alone.compare")
    past = read_journal(tmp_path / "shared.journal.jsonl")
    assert past
    assert past.records == {record.source: record for record in shared}
    assert [item.name for item in prepare(scans, tmp_path / "shared", resume=True).todo] == ["broken.png"]


@pytest.mark.usefixtures("without_ray")
def test_what_one_engine_has_begun_the_other_ends(scans: Path, blur: Path, tmp_path: Path) -> None:
    records = cluster.run(prepare(scans, tmp_path / "out", Settings(str(blur))))
    begun = next(records)
    records.close()
    rest = finish(prepare(scans, tmp_path / "out", resume=True))
    assert sorted([begun.source, *(record.source for record in rest)]) == sorted(NAMES)
    assert sorted(contents(tmp_path / "out")) == sorted(NAMES)


@pytest.mark.usefixtures("without_ray")
def test_a_file_that_comes_to_be_in_the_way_meanwhile_stays(scans: Path, blur: Path, tmp_path: Path) -> None:
    job = prepare(scans, tmp_path / "out", Settings(str(blur)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAMES[0]).write_bytes(b"a stranger's")
    failed = [record for record in cluster.run(job) if record.status == "failed"]
    assert [(record.source, "came to be" in str(record.reason)) for record in failed] == [(NAMES[0], True)]
    assert (tmp_path / "out" / NAMES[0]).read_bytes() == b"a stranger's"
    assert sorted(contents(tmp_path / "out")) == sorted(NAMES)


@pytest.mark.usefixtures("without_ray")
def test_a_picture_that_kills_its_workers_fails_after_three(
    scans: Path, blur: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = prepare(scans, tmp_path / "out", Settings(str(blur)))
    with monkeypatch.context() as patch:
        patch.setattr(Picture, "open", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        for _ in range(cluster.TRIES):
            with pytest.raises(KeyboardInterrupt):
                cluster._Worker(job).answer(job.todo[0])
    records = list(cluster.run(job))
    assert [record.source for record in records if record.status == "failed"] == [job.todo[0].name]
    assert "killed" in str(records[0].reason)
    assert len(contents(tmp_path / "out")) == len(NAMES) - 1  # and no mark is left


@pytest.mark.usefixtures("without_ray")
def test_another_model_at_the_same_path_elsewhere_stops_the_job(
    scans: Path, blur: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    job = prepare(scans, tmp_path / "out", Settings(str(blur)))
    make_model("blur", version="2")
    with pytest.raises(JobStopped, match="another file on"):
        list(cluster.run(job))
    assert not list((tmp_path / "out").rglob("*.png"))


@pytest.mark.usefixtures("without_ray")
def test_what_is_not_for_several_processes_is_refused(scans: Path, blur: Path, tmp_path: Path) -> None:
    with pytest.raises(JobRefused, match="single picture"):
        cluster.run(prepare(scans / NAMES[0], tmp_path / "x.png", Settings(str(blur))))
    with pytest.raises(JobRefused, match="Ray chooses"):
        cluster.run(prepare(scans, tmp_path / "out", Settings(str(blur), device="cuda:1")))
    assert not (tmp_path / "out").exists()


def test_without_ray_it_is_said_what_to_install(scans: Path, blur: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(JobRefused, match=r"image-translate\[ray\]"):
        cluster.run(prepare(scans, tmp_path / "out", Settings(str(blur))))
    assert not (tmp_path / "out").exists()


PICTURES = 24


def workers(driver: int) -> list[int]:
    """Processes of Ray's below the driver that have taken on pictures."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names[pid] = (folder / "cmdline").read_bytes()
        except OSError:
            continue

    def below(pid: int) -> bool:
        return pid == driver or (pid in parents and below(parents[pid]))

    return [pid for pid, name in names.items() if b"MapWorker" in name and below(pid)]


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: image-translate[ray]")
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_driver_and_a_killed_worker_lose_nothing_and_do_nothing_twice(make_model: MakeModel, tmp_path: Path) -> None:
    for number in range(PICTURES):
        draw(tmp_path / "scans" / str(number % 2) / f"{number}.png", number, 80, 80)
    model = make_model("blur", size=9, depth=100)
    command = [sys.executable, "-c", "from translate.cli.batch import app; app()", "scans", "out", "--model", str(model)]
    command += ["--engine", "ray", "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}

    def finished() -> list[str]:
        try:
            lines = (tmp_path / "out.journal.jsonl").read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        told = [json.loads(line) for line in lines if line.endswith("\n")]
        return [line["source"] for line in told if "status" in line]

    def begin(*more: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*command, *more], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)

    def until(driver: subprocess.Popen[str], count: int) -> None:
        while len(finished()) < count:
            assert driver.poll() is None, driver.stderr and driver.stderr.read()
            time.sleep(0.02)

    with begin() as driver:
        until(driver, 3)
        driver.kill()
    before = finished()
    assert 3 <= len(before) < PICTURES
    kept = {name: inode for name, inode in inodes(tmp_path / "out").items() if name in before}

    with begin("--resume") as driver:
        until(driver, len(before) + 3)
        os.kill(workers(driver.pid)[0], signal.SIGKILL)
        killed_at = len(finished())
        _, said = driver.communicate()
    assert driver.returncode == 0, said
    assert "Traceback" not in said
    assert killed_at < PICTURES
    assert Counter(finished()) == {f"{number % 2}/{number}.png": 1 for number in range(PICTURES)}
    *lines, last = map(json.loads, (tmp_path / "out.report.jsonl").read_text().splitlines())
    assert [line["source"] for line in lines] == sorted(finished())
    assert {key: last["summary"][key] for key in ("done", "failed", "left")} == {"done": PICTURES, "failed": 0, "left": 0}
    assert inodes(tmp_path / "out").items() >= kept.items()
    finish(prepare(tmp_path / "scans", tmp_path / "alone", Settings(str(model))))
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
