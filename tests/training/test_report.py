"""The page of a run: one file that needs no other, small whatever the run, and true after a stop, a resume and a NaN."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.small_training import SMALL
from translate.training import report, sessions
from translate.training.recipe import Recipe
from translate.training.run import create, resume_run, train


def shown(run: Path) -> dict[str, Any]:
    """What a page draws, read back out of it."""
    page = (run / "report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def stop_at(last: int) -> Any:
    def stop(step: int, _: object) -> None:
        if step == last:
            raise KeyboardInterrupt

    return stop


def test_a_run_that_was_stopped_and_resumed_says_so_and_shows_no_step_twice(photographs: Path, tmp_path: Path) -> None:
    run = create("restore.toml", photographs, tmp_path / "run", list(SMALL))
    with pytest.raises(KeyboardInterrupt):
        train(run, stop_at(5))
    page = shown(run.folder)
    assert (page["state"], page["step"], page["end"]) == ("stopped", 5, "stopped by hand")
    assert page["best"]["step"] == 3
    assert [preview["step"] for preview in page["previews"]] == [3]

    train(resume_run(run.folder), lambda *_: None)
    page = shown(run.folder)
    best = json.loads((run.folder / "best.json").read_text())
    assert (page["state"], page["step"], page["steps"], page["left"]) == ("finished", 6, 6, None)
    assert page["best"] == {"step": best["step"], "measure": "old/psnr", "score": best["scores"]["old/psnr"]}
    assert [(life["first"], life["last"], life["end"]) for life in page["sessions"]] == [
        (0, 5, "stopped by hand"),
        (4, 6, "finished"),
    ]
    assert [row[0] for row in page["measures"]["rows"]] == [preview["step"] for preview in page["previews"]] == [3, 6]
    for chart in page["charts"]:
        for curve in chart["curves"]:
            steps = [point[0] for point in curve["points"]]
            assert steps == sorted(set(steps))
    assert {chart["kind"] for chart in page["charts"]} == {"measure", "loss", "engine"}
    assert page["sessions"][-1]["environment"]["torch"]


@pytest.mark.parametrize(("setting", "step"), [("optimisers.generator.lr=1e30", 1), ("model.l1=1e39", 0)])
def test_a_diverged_run_shows_the_reason(photographs: Path, tmp_path: Path, setting: str, step: int) -> None:
    run = create("restore.toml", photographs, tmp_path / "run", [*SMALL, setting])
    with pytest.raises(FloatingPointError) as caught:
        train(run, lambda *_: None)
    page = shown(run.folder)
    assert (page["state"], page["step"], page["end"]) == ("stopped", step, str(caught.value))


def test_a_killed_run_is_running_as_far_as_its_page_knows(tmp_path: Path) -> None:
    recipe = Recipe.load("lsgan-ring.toml")
    report.Reporter(tmp_path, recipe).step(1)
    assert (shown(tmp_path)["state"], shown(tmp_path)["left"]) == ("running", None)
    with report.Reporter(tmp_path, recipe) as again:
        again.step(2)
    assert [(life.first, life.last, life.end) for life in sessions.read(tmp_path)] == [(0, 1, ""), (1, 2, "finished")]


def test_a_page_that_cannot_be_written_does_not_end_the_training(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with (
        pytest.warns(UserWarning, match=r"report\.html cannot be written"),
        report.Reporter(tmp_path, Recipe.load("lsgan-ring.toml")) as page,
    ):
        page.step(1)


def test_half_a_preview_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "previews").mkdir()
    (tmp_path / "previews" / "00000001.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "modes": 8}\n')
    (tmp_path / "best.json").write_text(json.dumps({"step": 1, "score": 1, "scores": {"modes": 8}}))
    report.write(tmp_path, Recipe.load("lsgan-ring.toml"))
    assert shown(tmp_path)["previews"] == []
    assert shown(tmp_path)["measures"] == {"columns": ["modes"], "rows": [[1, 8]]}


def test_the_page_needs_no_other_file(tmp_path: Path) -> None:
    recipe = Recipe.load("restore.toml", ["about.source=</script><b>&"])
    page = report.write(tmp_path, recipe).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"'\s]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"<link|<img| src=|@import|url\((?!#)", page)
    assert page.count("</script>") == 2
    assert "default-src 'none'" in page
    assert "{{" not in page
    assert shown(tmp_path)["state"] == "unknown"


def test_numbers_that_are_none_are_told_and_do_not_break_the_page(tmp_path: Path) -> None:
    lines = [{"step": 1, "generator/l1": 0.5}, {"step": 2, "generator/l1": math.nan}, {"step": 3, "generator/l1": math.inf}]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"step": 4, "gen')
    (tmp_path / "events.jsonl").write_text('{"step": 2, "warning": "it goes wrong"}\n{"step": 2, "images": 3.5}\n')
    report.write(tmp_path, Recipe.load("restore.toml"))
    page = shown(tmp_path)
    assert page["unsound"] == {"generator/l1": 2}
    assert page["warnings"] == ["it goes wrong"]
    assert [chart["title"] for chart in page["charts"]] == ["l1", "images"]
    assert page["charts"][0]["curves"][0]["points"] == [[1, 0.5], [2, None], [3, None]]


def test_a_long_run_of_large_pictures_stays_small(tmp_path: Path) -> None:
    (tmp_path / "previews").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    steps = range(1000, 101_000, 1000)
    with (tmp_path / "metrics.jsonl").open("w") as file:
        for step in range(50, 100_001, 50):
            file.write(json.dumps({"step": step, "generator/l1": 0.123456, "generator/gradient": 0.123456}) + "\n")
            if step in steps:
                file.write(json.dumps({"step": step, "old/psnr": step / 1000}) + "\n")
    for step in (*steps[:4], steps[-1]):
        Image.fromarray(noise).save(tmp_path / "previews" / f"{step:08d}.png", compress_level=0)
    (tmp_path / "best.json").write_text(json.dumps({"step": 3000, "score": 3, "scores": {"old/psnr": 3}}))
    report.write(tmp_path, Recipe.load("restore.toml"))
    page = shown(tmp_path)
    each = max(len(preview["picture"]) for preview in page["previews"])
    assert (report.MOMENTS + 2) * each < 9e6
    assert [preview["step"] for preview in page["previews"]] == [3000, 100_000]
    rows = [row[0] for row in page["measures"]["rows"]]
    assert len(rows) <= report.MOMENTS + 2
    assert {3000, 100_000} <= set(rows)
    assert page["validations"] == 100
    assert all(len(curve["points"]) <= report.POINTS for chart in page["charts"] for curve in chart["curves"])


@given(st.lists(st.floats(-1e3, 1e3), max_size=40), st.integers(1, 12))
def test_fewer_points_keep_mean_and_extremes(values: list[float], limit: int) -> None:
    found = report.points(enumerate(values), limit)
    assert len(found) <= limit
    if len(values) <= limit:
        assert found == list(enumerate(values))
        return
    assert found[-1][0] == len(values) - 1
    assert min(point[2] for point in found) == min(values)
    assert max(point[3] for point in found) == max(values)
    each = -(-len(values) // limit)
    weights = [min(each, len(values) - at) for at in range(0, len(values), each)]
    assert sum(w * p[1] for w, p in zip(weights, found, strict=True)) == pytest.approx(sum(values), abs=1e-6)


def test_curves_of_one_thing_share_a_chart() -> None:
    line = {"step": 1, "generator/cycle_y": 1, "generator/cycle_x": 2, "generator/l1": 3, "critic/critic_x": 4, "there/psnr": 5,
            "lr/generator": 6, "lr/critic": 7, "score/D/real": 8, "score/D/fake": 9, "memory": 10}  # fmt: skip
    found = report.charts([line], ["generator", "critic"], ["there/psnr"])
    assert [(chart["kind"], chart["of"], chart["title"], [curve["name"] for curve in chart["curves"]]) for chart in found] == [
        ("measure", "", "there/psnr", ["there/psnr"]),
        ("loss", "generator", "cycle", ["x", "y"]),
        ("loss", "generator", "l1", ["l1"]),
        ("loss", "critic", "critic", ["x"]),
        ("engine", "", "lr", ["critic", "generator"]),
        ("engine", "", "memory", ["memory"]),
        ("engine", "", "score/D", ["fake", "real"]),
    ]
