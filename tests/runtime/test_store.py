"""Store: names and paths, and nothing outside its folders for a name."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import translate
from tests.conftest import MakeModel
from translate.runtime.errors import InvalidModel, ModelNotFound
from translate.runtime.store import Store, digest, state


@pytest.fixture
def store(make_model: MakeModel, tmp_path: Path) -> Store:
    for name in ("restore", "restore-crisp", "night2day"):
        make_model("invert", name=name, folder=tmp_path / "a")
    make_model("identity", name="restore", folder=tmp_path / "b")
    make_model("identity", name="zebra", folder=tmp_path / "b")
    return Store([tmp_path / "a", tmp_path / "absent", tmp_path / "b"])


def test_names_are_sorted_and_the_first_folder_counts(store: Store, tmp_path: Path) -> None:
    assert store.names() == ["night2day", "restore", "restore-crisp", "zebra"]
    assert store.find("restore") == tmp_path / "a" / "restore.onnx"


def test_only_plain_names_count(store: Store, tmp_path: Path) -> None:
    for stem in ("Big", ".hidden", "with space", "-dash", "x" * 65, "ünïcode"):
        (tmp_path / "a" / f"{stem}.onnx").touch()
    (tmp_path / "a" / "folder.onnx").mkdir()
    (tmp_path / "a" / "notes.txt").touch()
    assert store.names() == ["night2day", "restore", "restore-crisp", "zebra"]


@pytest.mark.parametrize(
    "name", ["../a/restore", "/etc/passwd", "..", "", "restore.onnx", "a\x00b", "sub/restore", "RESTORE", "*"]
)
def test_a_name_never_leads_out_of_the_folders(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFound):
        store.find(name)
    with pytest.raises(ModelNotFound):
        store.find(str(tmp_path / "a" / "restore.onnx"))


def test_an_unknown_name_is_told_its_neighbours(store: Store) -> None:
    with pytest.raises(ModelNotFound, match="no model 'restor'; known: restore, restore-crisp"):
        store.find("restor")
    with pytest.raises(ModelNotFound, match="known: zebra"):
        store.path("zebr")


def test_without_models_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"there is none in .*translate-train"):
        Store([tmp_path]).find("restore")


def test_paths(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "b" / "zebra.onnx"
    assert store.path("zebra") == file
    assert store.path(file) == file
    assert store.path(str(file)) == file
    monkeypatch.chdir(tmp_path / "b")
    assert store.path("zebra.onnx") == Path("zebra.onnx")
    assert store.path(Path("zebra.onnx")) == Path("zebra.onnx")
    for absent in ("absent.onnx", str(tmp_path / "absent"), tmp_path / "a"):
        with pytest.raises(ModelNotFound, match="no model file at"):
            store.path(absent)


def test_cards_follow_the_file(store: Store, make_model: MakeModel, tmp_path: Path) -> None:
    assert store.card("restore").target == "invert"
    make_model("blur", name="restore", folder=tmp_path / "a")
    assert store.card("restore").target == "blur"
    (tmp_path / "a" / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(InvalidModel, match="broken"):
        store.card("broken")


def test_the_environment_names_the_folders(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSLATE_WEIGHTS", os.pathsep.join([str(tmp_path / "b"), str(tmp_path / "a")]))
    assert Store().find("restore") == tmp_path / "b" / "restore.onnx"
    assert translate.load("restore").card.target == "identity"


def test_the_shipped_weights_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSLATE_WEIGHTS", raising=False)
    assert Path(translate.__file__).parents[1] / "weights" in Store().folders


def test_load_gives_a_callable(store: Store, tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), "red")
    translated = translate.load(tmp_path / "a" / "restore.onnx", device="cpu", threads=1)(image)
    np.testing.assert_array_equal(np.asarray(translated)[0, 0], [0, 255, 255])


@pytest.mark.parametrize("form", ["{sum}  {name}", "{sum} *{name}", "# sums\n\n{sum}  ./other.onnx\n{upper}  {name}"])
def test_files_are_held_against_their_sums(store: Store, tmp_path: Path, form: str) -> None:
    path = store.find("restore")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    before = state(path)
    (tmp_path / "a" / "SHA256SUMS").write_text(form.format(sum=right, upper=right.upper(), name=path.name) + "\n")
    assert state(path) != before
    assert digest(path) == right
    store.load("restore", threads=1)
    path.write_bytes(path.read_bytes() + b"\x72\x00")
    with pytest.raises(InvalidModel, match="SHA256SUMS"):
        store.load("restore", threads=1)


def test_importing_translate_is_cheap() -> None:
    heavy = "import sys, translate; print(sorted({'numpy', 'torch', 'onnxruntime', 'PIL', 'pydantic'} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
