"""translate-data: exit codes, JSON, and a folder that training takes."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.folders import draw
from translate.cli.data import app


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for k in range(4):
        for side in ("a", "b"):
            draw(tmp_path / side / f"{k}.png", seed=k + (side == "b") * 10, height=20, width=24)
    return tmp_path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_pair_then_audit(folders: Path) -> None:
    code, told = run("pair", folders / "a", folders / "b", folders / "out", "--size", 16, "--val", 0.25, "--joined")
    assert (code, told) == (0, f"wrote {folders / 'out'}: 1 to val, 3 to train\n")
    code, told = run("audit", folders / "out", "--joined", "--json")
    report = json.loads(told)
    assert (code, report["sound"], report["kind"]) == (0, True, "aligned")
    assert [(row["split"], row["count"]) for row in report["rows"]] == [("train", 3), ("val", 1)]
    assert [finding["code"] for finding in report["findings"]] == ["tiny"]


def test_audit_exits_with_1_where_training_would_break(folders: Path) -> None:
    (folders / "a" / "3.png").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(folders / "b" / "2.png")
    code, told = run("audit", folders)
    assert code == 1
    assert "error: cannot be read (1)" in told
    assert "error: pairs whose pictures differ in size (1)" in told
    assert "warning: fewer than 100" in told
    code, told = run("audit", folders, "--kind", "unpaired", "--json")
    assert (code, [f["code"] for f in json.loads(told)["findings"] if f["breaks"]]) == (1, ["unreadable"])


def test_mistakes_are_told_in_a_line(folders: Path) -> None:
    for arguments in (
        ("audit", folders / "gone"),
        ("audit", folders / "a", "--kind", "aligned"),
        ("pair", folders / "a", folders / "b", folders / "a"),
    ):
        code, told = run(*arguments)
        assert code == 1
        assert told.startswith("error: ")
        assert told.count("\n") == 1
