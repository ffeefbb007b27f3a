"""The clients of docs/serving.md, as they stand there, against the real command."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.server.conftest import Serve, decoded, encoded, pixels
from tests.server.test_process import running

DOCS = Path(__file__).parents[2] / "docs" / "serving.md"
HERE = "http://127.0.0.1:8000"
PROGRAMS = {"sh": ["sh", "-e"], "python": [sys.executable], "js": ["node", "--no-warnings", "--input-type=module"]}
NEEDED = {"sh": "curl", "python": sys.executable, "js": "node"}


def client(language: str) -> str:
    (section,) = re.findall(r"^## Translate a picture\n(.*?)^## ", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert HERE in found
    return str(found)


def test_clients_of_the_docs(weights: Path, tmp_path: Path) -> None:
    made = {"sh": ["restored.jpg", "restored.png"], "python": ["restored.jpg"], "js": ["restored.webp"]}
    with running(weights) as (_, address):
        for language, answers in made.items():
            if shutil.which(NEEDED[language]) is None:
                continue
            folder = tmp_path / language
            folder.mkdir()
            (folder / "photo.jpg").write_bytes(encoded(pixels(), "JPEG"))
            (folder / "scan.tif").write_bytes(encoded(pixels(), "TIFF"))
            done = subprocess.run(
                PROGRAMS[language], input=client(language).replace(HERE, address), cwd=folder, text=True, capture_output=True,
                timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            for answer in answers:
                assert Image.open(folder / answer).format == {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[answer[-4:].strip(".")]
    amount = 0.8  # of the curl line; the model turns light to dark
    if (tmp_path / "sh").exists():
        expected = pixels() * (1 - amount) + (255 - pixels().astype(float)) * amount
        np.testing.assert_allclose(decoded((tmp_path / "sh" / "restored.png").read_bytes()), expected, atol=1)


def test_the_copies_on_ray_are_this_server(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The docs' program with everything but Ray itself."""
    text = DOCS.read_text(encoding="utf-8").partition("### On Ray")[2]
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[:1]
    told: dict[str, Any] = {}
    built: list[Any] = []

    def deployment(**settings: Any) -> Any:
        told.update(settings)
        return lambda kind: SimpleNamespace(bind=lambda: kind)

    def ingress(build: Any) -> Any:
        built.append(build)
        return lambda kind: kind

    ray = ModuleType("ray")
    ray.serve = SimpleNamespace(deployment=deployment, ingress=ingress)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("TRANSLATE_WEIGHTS", str(weights))
    scope: dict[str, Any] = {}
    exec(program, scope)
    app = built[0]()
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.post("/translate", content=encoded(pixels())).status_code == 200
    assert told["max_ongoing_requests"] == app.state.settings.workers + app.state.settings.queue


def test_copies_are_interchangeable(serve: Serve) -> None:
    """Whichever of them a load balancer chooses: the same answers under the same ETag, with noise too."""
    one, other = serve(), serve()
    for query in ("", "model=noisy&seed=7"):
        told = one.post(f"/translate?{query}", content=encoded(pixels()))
        again = other.post(f"/translate?{query}", content=encoded(pixels()))
        assert told.status_code == 200
        assert told.content == again.content
        known = {"If-None-Match": told.headers["etag"]}
        assert other.post(f"/translate?{query}", content=encoded(pixels()), headers=known).status_code == 304
    drawn = one.post("/translate?model=noisy", content=encoded(pixels()))
    same = other.post(f"/translate?model=noisy&seed={drawn.headers['x-translate-seed']}", content=encoded(pixels()))
    assert drawn.content == same.content
