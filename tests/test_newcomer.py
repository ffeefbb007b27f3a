"""The walk "From two folders to a service" of docs/training.md: each of its commands as it stands there, on small pictures."""

import io
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from typer.testing import CliRunner

from server.app import create_app
from server.settings import Settings
from tests.small_training import TINY
from translate.cli import batch, data, train

DOCS = Path(__file__).parent.parent / "docs" / "training.md"
APPS = {"translate-data": data.app, "translate-train": train.app, "translate-batch": batch.app}


def walk() -> list[list[str]]:
    """The commands of the section's block, as words."""
    found = re.search(r"## From two folders to a service\n.*?```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return [shlex.split(line) for line in found.group(1).replace("\\\n", " ").splitlines() if line]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two raw folders: of different sizes and formats, with the names of nobody."""
    for season, low in (("summer", 120), ("winter", 30)):
        folder = tmp_path / "photographs" / season
        folder.mkdir(parents=True)
        for number in range(8):
            rng = np.random.default_rng((low, number))
            picture = Image.fromarray(rng.integers(low, low + 90, (24 + number, 40 - number, 3), dtype=np.uint8))
            picture.save(folder / f"{season} {number}.{'jpg' if number % 2 else 'png'}")
    return tmp_path


def test_from_two_folders_to_a_service(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photographs)
    done = []
    for variables, command in (_parts(words) for words in walk()):
        name, *arguments = command
        for variable, value in variables:
            monkeypatch.setenv(variable, value)
        if name == "translate-train":
            arguments += [word for setting in (*TINY, "generator.blocks=1") for word in ("--set", setting)]
        if name in APPS:
            result = CliRunner().invoke(APPS[name], arguments)
            assert result.exit_code == 0, result.output
        elif name == "curl":
            _ask(arguments)
        else:
            assert name == "translate-serve"  # it goes on for ever: `_ask` is answered by the application that it starts
        done.append(name)
    assert done == ["translate-data", "translate-train", "translate-batch", "translate-serve", "curl"]
    translated = sorted(Path("translated").iterdir())
    assert [path.name for path in translated] == sorted(path.name for path in Path("photographs/summer").iterdir())
    assert [Image.open(path).size for path in translated] == [(40 - number, 24 + number) for number in range(8)]
    assert np.array_equal(np.asarray(Image.open("translated/summer 2.png")), np.asarray(Image.open("winter.png")))


def _parts(words: list[str]) -> tuple[list[list[str]], list[str]]:
    """The variables before a command, and the command."""
    first = next(at for at, word in enumerate(words) if "=" not in word)
    command = [Path(words[first]).name, *words[first + 1 :]]
    return [word.split("=", 1) for word in words[:first]], command


def _ask(arguments: list[str]) -> None:
    """What `curl --data-binary @PICTURE -o ANSWER URL` does."""
    sent, answer, url = Path(arguments[1].removeprefix("@")), Path(arguments[3]), urlsplit(arguments[4])
    assert (arguments[0], arguments[2], url.netloc) == ("--data-binary", "-o", "127.0.0.1:8000")
    with TestClient(create_app(Settings())) as client:
        reply = client.post(f"{url.path}?{url.query}", content=sent.read_bytes())
    assert reply.status_code == 200, reply.text
    Image.open(io.BytesIO(reply.content)).verify()
    answer.write_bytes(reply.content)
