"""What a folder job settles before it begins: what there is to do, and what it refuses to touch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import MakeModel
from tests.folders import contents, draw, finish
from translate.runtime.errors import JobRefused
from translate.runtime.job import Settings, prepare
from translate.runtime.model import Model
from translate.runtime.picture import Picture


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


Refused = Callable[[Path], tuple[Path, Path, Settings, dict[str, Any]]]
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
