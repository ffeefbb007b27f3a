"""translate-train: what it says before, while and after it trains."""

import io
import json
import tomllib
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.small_training import SMALL, launched
from translate.cli.progress import EVERY, Training, told
from translate.cli.train import app
from translate.training import audited, pages, summary
from translate.training.recipe import Recipe
from translate.training.run import create

RING = ("generator.width=8", "critic.network.width=8", "device=cpu")


def run(*arguments: str, settings: tuple[str, ...] = ()) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*arguments, *(word for setting in settings for word in ("--set", setting))])
    return result.exit_code, result.stdout, result.stderr


def test_a_dry_run_prints_a_recipe_and_writes_nothing(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(summary, "ROUNDS", 1)
    code, out, said = run("restore.toml", "--data", str(photographs), "--out", "run", "--dry-run", settings=SMALL)
    assert code == 0, said
    assert not list(tmp_path.iterdir())
    (tmp_path / "printed.toml").write_text(out, encoding="utf-8")
    assert Recipe.load(tmp_path / "printed.toml") == Recipe.load("restore.toml", SMALL)
    assert tomllib.loads(out)["data"]["size"] == 32
    comments = [line for line in out.splitlines() if line.startswith("# ")]
    assert any("GMACs for a picture of 32×32 pixels" in line for line in comments)
    assert any(line.startswith("# an epoch of ") for line in comments)
    assert any("random pictures" in line for line in comments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lsgan-ring.toml", "--dry-run", "--set", "stepz=3"), "did you mean steps"),
        (("restore.toml", "--data", "nowhere", "--dry-run"), "nowhere"),
        (("--dry-run",), "give a recipe"),
        (("--resume", "run", "--dry-run"), "--dry-run beside it"),
    ],
)
def test_a_dry_run_refuses_what_a_run_would(arguments: tuple[str, ...], message: str) -> None:
    code, _, said = run(*arguments)
    assert (code, said[:7]) == (1, "error: ")
    assert message in said


def test_the_data_is_audited_into_the_run(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = create("restore.toml", photographs, tmp_path / "run", list(SMALL))
    seen: list[tuple[int, int]] = []
    warnings = audited.look(made, photographs, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)
    found = json.loads((made.folder / "audit.json").read_text())
    assert (found["kind"], found["sound"], sum(row["count"] for row in found["rows"])) == ("photographs", True, 12)
    assert {row["split"] for row in found["rows"]} == {"train", "val"}
    assert any(line.startswith("warning: fewer than 100") for line in warnings)
    monkeypatch.setattr(audited, "MOST", 11)
    assert audited.look(made, photographs) == []
    assert "12 pictures, over 11" in json.loads((made.folder / "audit.json").read_text())["skipped"]


@pytest.mark.parametrize(("by_torchrun", "shard", "keeps"), [(False, True, True), (True, False, True), (True, True, False)])
def test_freed_memory_is_kept_but_where_weights_are_shared_out(
    by_torchrun: bool, shard: bool, keeps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_torchrun:
        launched(monkeypatch, rank=0, world=1, local=1)
    called: list[str] = []
    for name in ("keep_pages", "hand_back_pages"):
        monkeypatch.setattr(pages, name, partial(called.append, name))
    settings = (*RING, f"shard={str(shard).lower()}", "steps=1", "validate_every=9", "select=", "workers=0")
    code, _, said = run("gan-ring.toml", "--out", str(tmp_path / "run"), settings=settings)
    assert code == 0, said
    assert called == ["keep_pages" if keeps else "hand_back_pages"]


def test_losses_are_told_once_under_their_player() -> None:
    losses = {"generator/adversarial_y": 0.5, "generator/cycle_y": 1.23456, "critic/critic_x": 0.25, "critic/critic_y": 12345.678}
    assert told(losses) == "generator adversarial_y 0.5 cycle_y 1.235 · critic critic_x 0.25 critic_y 1.235e+04"


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_tells_steps_pictures_per_second_and_time_left(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("translate.cli.progress.time.monotonic", lambda: clock[0])
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=100)
    with Training(console, steps=1000, batch=4) as shown:
        for step in range(501, 511):  # resumed at step 500
            clock[0] += 2
            shown.step(step, {"generator/l1": 0.125})
    said = written.getvalue()
    assert "2.0 pictures/s" in said
    assert "0:16:20 left" in said
    assert "l1 0.125" in said
    if not terminal:
        assert len(said.splitlines()) == 18 // EVERY + 1
