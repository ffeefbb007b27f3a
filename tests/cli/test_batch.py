"""The command itself: options, exit codes, what goes to stdout, stderr and the report."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from tests.conftest import MakeModel
from translate.cli.batch import app
from translate.runtime.model import Model
from translate.runtime.picture import Picture

NAMES = ["a.png", "b.jpg", "c/ä ö.png", "c/d [red].png", "e.png", "f.png"]


@pytest.fixture(autouse=True)
def restore(make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default model, and a working folder."""
    path = make_model("invert", name="restore")
    monkeypatch.setenv("TRANSLATE_WEIGHTS", str(path.parent))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 14, 3), dtype=np.uint8)).save(path)
    return tmp_path / "scans"


def call(*words: object, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def report(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *lines, last = [json.loads(line) for line in path.read_text().splitlines()]
    return lines, last["summary"]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_ends_with_pictures_alone_in_out_and_a_report_beside_it(scans: Path, tmp_path: Path) -> None:
    (scans / "Thumbs.db").write_bytes(b"stray")
    (scans / "broken.png").write_bytes((scans / "a.png").read_bytes()[:60])
    result = call("scans", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert files(tmp_path / "out") == sorted(NAMES)
    lines, summary = report(tmp_path / "out.report.jsonl")
    assert [line["source"] for line in lines] == sorted([*NAMES, "Thumbs.db", "broken.png"])
    by_name = {line["source"]: line for line in lines}
    assert by_name["a.png"].items() >= {"output": "a.png", "status": "done", "width": 14, "height": 9, "bits": 8}.items()
    assert by_name["b.jpg"]["format"] == "JPEG"
    assert by_name["Thumbs.db"]["status"] == "skipped"
    assert by_name["broken.png"]["status"] == "failed"
    assert "broken.png" in by_name["broken.png"]["reason"]
    assert {key: summary[key] for key in ("done", "failed", "skipped", "left")} == {
        "done": 6,
        "failed": 1,
        "skipped": 1,
        "left": 0,
    }
    assert "6 done, 1 failed, 1 skipped, 0 left" in result.stderr
    assert "Thumbs.db" in result.stderr


def test_a_finished_job_resumed_is_silent_success(scans: Path, tmp_path: Path) -> None:
    assert call("scans", "out", "--amount", "0.5").exit_code == 0
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)}
    assert call("scans", "out", "--resume").exit_code == 0
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)} == before


def test_a_repaired_picture_is_all_that_a_resumed_job_does(scans: Path, tmp_path: Path) -> None:
    good = (scans / "a.png").read_bytes()
    (scans / "a.png").write_bytes(b"")
    assert call("scans", "out").exit_code == 1
    (scans / "a.png").write_bytes(good)
    assert call("scans", "out", "--resume").exit_code == 0
    lines, summary = report(tmp_path / "out.report.jsonl")
    assert [line["status"] for line in lines] == ["done"] * len(NAMES)
    assert summary["done"] == len(NAMES)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_job_in_order(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    save, main = Picture.save, threading.main_thread().ident

    def interrupted(picture: Picture, path: Path, **options: Any) -> None:
        save(picture, path, **options)
        if path.name == "b.jpg":
            assert main is not None
            signal.pthread_kill(main, number)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(Picture, "save", interrupted)
        result = call("scans", "my out", "--jobs", 1)
    assert result.exit_code == code
    assert signal.getsignal(number) == before
    assert "translate-batch scans" in result.stderr
    assert "--resume" in result.stderr
    assert files(tmp_path / "my out") == ["a.png", "b.jpg"]
    assert report(tmp_path / "my out.report.jsonl")[1]["left"] == 4
    assert call("scans", "my out", "--resume").exit_code == 0
    assert files(tmp_path / "my out") == sorted(NAMES)


def test_compare_lies_beside(scans: Path, tmp_path: Path) -> None:
    assert call("scans", "out", "--compare", "--format", "png").exit_code == 0
    assert files(tmp_path / "out") == files(tmp_path / "out.compare")
    both = Picture.open(tmp_path / "out.compare" / "a.png").pixels
    assert np.array_equal(both[:, :14], Picture.open(scans / "a.png").pixels)
    assert np.array_equal(both[:, -14:], 255 - Picture.open(scans / "a.png").pixels)


def test_amount_blends(scans: Path, tmp_path: Path) -> None:
    assert call("scans", "out", "--amount", 0.25).exit_code == 0
    original = Picture.open(scans / "a.png").pixels.astype(float)
    blended = Picture.open(tmp_path / "out" / "a.png").pixels.astype(float)
    assert np.abs(blended - (0.75 * original + 0.25 * (255 - original))).max() <= 0.5


def test_format_quality_and_suffix(scans: Path, tmp_path: Path) -> None:
    sizes = {}
    for quality in (20, 95):
        assert call("scans", f"q{quality}", "--format", "jpg", "--quality", quality, "--suffix", "-new").exit_code == 0
        assert files(tmp_path / f"q{quality}")[:2] == ["a-new.jpg", "b-new.jpg"]
        sizes[quality] = (tmp_path / f"q{quality}" / "a-new.jpg").stat().st_size
    assert sizes[20] < sizes[95]


def test_a_dry_run_lists_and_writes_nothing(scans: Path, tmp_path: Path) -> None:
    (scans / "notes.txt").write_text("stray")
    before = files(tmp_path)
    result = call("scans", "out", "--dry-run", "--format", "webp")
    assert result.exit_code == 0
    assert f"{Path('scans', 'b.jpg')} -> {tmp_path / 'out' / 'b.webp'}" in result.stdout
    assert "notes.txt" in result.stdout
    assert files(tmp_path) == before


def test_a_single_picture_leaves_nothing_but_the_picture(scans: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    assert call("scans/a.png", "new.png").exit_code == 0
    (tmp_path / "there").mkdir()
    assert call("scans/a.png", "there", "--suffix=-restored").exit_code == 0
    assert sorted(set(files(tmp_path)) - set(before)) == ["new.png", "there/a-restored.png"]
    assert call("scans/a.png", "new.png").exit_code == 1
    assert call("scans/b.jpg", "new.png", "--overwrite").exit_code == 0
    assert Picture.open(tmp_path / "new.png").format == "PNG"


@pytest.mark.parametrize("name", ["a.png", "b.jpg"])
def test_a_pipe_gives_what_the_folder_gives(scans: Path, tmp_path: Path, restore: Path, name: str) -> None:
    expected = Model.open(restore)(scans / name).encode()
    result = call("-", "-", stdin=(scans / name).read_bytes())
    assert (result.exit_code, result.stdout_bytes) == (0, expected)
    assert call(scans / name, "-").stdout_bytes == expected
    assert call("-", "new/piped" + Path(name).suffix, stdin=(scans / name).read_bytes()).exit_code == 0
    assert (tmp_path / ("new/piped" + Path(name).suffix)).read_bytes() == expected
    assert call("-", "-", "--format", "webp", stdin=(scans / name).read_bytes()).stdout_bytes[8:12] == b"WEBP"


@pytest.mark.parametrize("stdin", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_pipe_without_a_picture_is_an_error_and_stdout_stays_empty(stdin: bytes) -> None:
    result = call("-", "-", stdin=stdin)
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert "Error: " in result.stderr


def test_a_seed_makes_a_pipe_repeatable(scans: Path, make_model: MakeModel) -> None:
    noisy, picture = make_model("noisy"), (scans / "a.png").read_bytes()
    outputs = [call("-", "-", "--model", noisy, "--seed", seed, stdin=picture).stdout_bytes for seed in (1, 1, 2)]
    assert outputs[0] == outputs[1] != outputs[2]
    drawn = call("-", "-", "--model", noisy, stdin=picture)
    seed = drawn.stderr.split("seed: ")[1].strip()
    assert call("-", "-", "--model", noisy, "--seed", seed, stdin=picture).stdout_bytes == drawn.stdout_bytes


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("scans", "scans/out"), 1, "overlap"),
        (("nowhere", "out"), 1, "no folder and no file"),
        (("scans", "out", "--model", "restor"), 1, "restore"),
        (("scans", "out", "--device", "abacus"), 1, "unknown device"),
        (("scans", "out", "--format", "gif"), 2, "JPEG"),
        (("scans", "out", "--amount", "2"), 2, "amount"),
        (("scans", "-"), 1, "one picture"),
        (("scans/a.png", "x.jpg", "--format", "png"), 1, "is not PNG"),
        (("scans/a.png", "x.gif2"), 1, "is not one of JPEG"),
        (("-", "x.jpg", "--format", "png"), 1, "is not PNG"),
        (("scans/a.png", "x.gif"), 1, "is not one of JPEG"),
        (("-", "x.gif"), 1, "is not one of JPEG"),
        (("scans/a.png", "x.png", "--journal", "j.jsonl"), 1, "leave --journal out"),
        (("scans/a.png", "x.png", "--suffix=-new"), 1, "--suffix goes with a folder"),
        (("-", "-", "--compare"), 1, "a pipe takes one picture"),
        (("-", "-", "--engine", "ray"), 1, "a pipe takes one picture"),
        (("scans", "out", "--engine", "slurm"), 2, "ray"),
    ],
)
def test_refusals(scans: Path, tmp_path: Path, words: tuple[str, ...], code: int, message: str) -> None:
    before = files(tmp_path)
    result = call(*words, stdin=b"")
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert files(tmp_path) == before


def test_blending_with_a_model_that_enlarges_is_refused(scans: Path, make_model: MakeModel) -> None:
    double = make_model("double")
    assert "enlarges" in call("scans", "out", "--model", double, "--amount", 0.5).stderr
    assert call("scans", "out2", "--model", double, "--compare").exit_code == 0
    pipe = call("-", "-", "--model", double, "--amount", 0.5, stdin=(scans / NAMES[0]).read_bytes())
    assert (pipe.exit_code, pipe.stdout_bytes) == (1, b"")
    assert "enlarges" in pipe.stderr


def test_a_name_that_was_told_is_no_suspicion(scans: Path) -> None:
    assert "by its content" not in call("scans/a.png", "x.jpg").stderr


def test_journal_and_report_lie_where_told(scans: Path, tmp_path: Path) -> None:
    told = ("--journal", "logs/j.jsonl", "--report", "logs/r.jsonl")
    assert call("scans", "out", *told).exit_code == 0
    assert files(tmp_path / "logs") == ["j.jsonl", "r.jsonl"]
    assert not list(tmp_path.glob("out.*"))
    assert call("scans", "out", "--resume", *told).exit_code == 0


def test_a_report_that_cannot_be_written_is_found_before_the_work(scans: Path, tmp_path: Path) -> None:
    result = call("scans", "out", "--report", scans)
    assert result.exit_code == 1
    assert "with --report" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_the_file_beside_its_sum_does_nothing(scans: Path, tmp_path: Path, make_model: MakeModel) -> None:
    model = Path(make_model("noisy"))
    model.with_name("SHA256SUMS").write_text(f"{'0' * 64}  {model.name}\n")
    result = call("scans", "out", "--model", model)
    assert result.exit_code == 1
    assert "SHA256SUMS" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_without_pictures_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = call(tmp_path / "empty", tmp_path / "out")
    assert (result.exit_code, "holds no pictures" in result.stderr) == (0, True)


def test_the_docs_name_every_option() -> None:
    options = {option for parameter in typer.main.get_command(app).params for option in parameter.opts if option.startswith("--")}
    documented = (Path(__file__).parents[2] / "docs" / "batch.md").read_text()
    table = documented.split("## What goes in")[0]
    assert set(re.findall(r"`(--[a-z-]+)", table)) == options


def test_the_command_runs_as_a_process_of_its_own(scans: Path, restore: Path) -> None:
    """With real pipes, and no torch."""
    code = "import sys; from translate.cli.batch import app; app(standalone_mode=False); assert 'torch' not in sys.modules"
    picture = (scans / "a.png").read_bytes()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code, "-", "-"], input=picture, capture_output=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    inverted = 255 - np.asarray(Image.open(BytesIO(picture)))
    assert np.array_equal(np.asarray(Image.open(BytesIO(done.stdout))), inverted)
