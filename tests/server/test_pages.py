"""Everything but /translate: models, health, metrics, the page, the description."""

import re

import pytest
from fastapi.testclient import TestClient

from server.routes.page import assets
from tests.server.conftest import Serve, encoded, pixels
from translate.runtime.card import Card


def test_models(client: TestClient, weights) -> None:
    (weights / "broken.onnx").write_bytes(b"not a model")
    models = {model["name"]: model for model in client.get("/models").json()["models"]}
    assert set(models) == {"restore", "noisy", "double", "nan"}
    assert models["restore"]["default"]
    assert not models["noisy"]["default"]
    assert models["noisy"]["noise"]
    assert models["double"]["scale"] == 2


def test_card(client: TestClient) -> None:
    assert Card.model_validate(client.get("/models/noisy").json()).noise is not None
    assert client.get("/models/nothing").status_code == 404


def test_health(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    client.post("/translate", content=encoded(pixels()))  # by now the default model is loaded
    assert client.get("/readyz").json() == {"status": "ready", "model": "restore"}
    assert client.head("/healthz").status_code == client.head("/readyz").status_code == 200


def test_not_ready_without_its_model(serve: Serve) -> None:
    client = serve(model="missing")
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"


def test_metrics(client: TestClient) -> None:
    client.post("/translate", content=encoded(pixels()))
    client.post("/translate", content=b"no picture")
    client.post("/translate?model=made-up-label", content=encoded(pixels()))
    text = client.get("/metrics").text
    values = dict(re.findall(r"^(translate_\S+) (\S+)$", text, re.MULTILINE))
    assert values['translate_requests_total{model="restore",status="200"}'] == "1.0"
    assert values['translate_requests_total{model="restore",status="415"}'] == "1.0"
    assert values['translate_rejected_total{reason="format"}'] == "1.0"
    assert values["translate_request_duration_seconds_count"] == "3.0"
    assert values["translate_queue_wait_seconds_count"] == "2.0"  # what is no picture waited too
    assert values['translate_inference_seconds_count{model="restore"}'] == "1.0"
    assert values["translate_requests_in_progress"] == "0.0"
    assert "made-up-label" not in text


def test_head_is_get_without_its_body(client: TestClient) -> None:
    client.post("/translate", content=encoded(pixels()))  # by now the default model is loaded
    described = client.get("/openapi.json").json()["paths"]
    paths = [path.format(name="restore") for path, operations in described.items() if "get" in operations]
    assert {"/models", "/models/restore", "/metrics"} <= set(paths)
    for path in [*paths, "/", "/docs", "/openapi.json", "/ui/style.css", "/models/nothing"]:
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.headers["content-type"]) == (get.status_code, get.headers["content-type"]), path
        assert not head.content


@pytest.mark.parametrize("path", ["/nothing", "/ui/nothing.js", "/ui/..%2Fapp.py", "/ui/../app.py", "/models/a/b"])
def test_nothing_there(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_page_is_all_from_here(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    linked = re.findall(r'(?:src|href)="([^"]+)"', response.text)
    assert all(link.startswith("/") for link in linked)
    for link in linked:
        assert client.get(link).status_code == 200, link


def test_assets_name_no_other_server() -> None:
    for name, asset in assets().items():
        addresses = set(re.findall(rb"https?://[\w.]+", asset.content))
        assert addresses <= {b"http://www.w3.org"}, name


def test_page_imports_what_exists() -> None:
    scripts = {name: asset.content.decode() for name, asset in assets().items() if name.endswith(".js")}
    for text in scripts.values():
        assert set(re.findall(r'from "\./([^"]+)"', text)) <= set(scripts)
    ids = set(re.findall(r'id="([^"]+)"', assets()["index.html"].content.decode()))
    for name in ("app.js", "compare.js"):
        assert set(re.findall(r'\$\("([^"]+)"\)', scripts[name])) <= ids


def test_page_is_cached_by_its_content(client: TestClient) -> None:
    first = client.get("/ui/style.css")
    assert first.headers["content-type"] == "text/css; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    assert client.get("/ui/style.css", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert client.get("/ui/app.js", headers={"If-None-Match": first.headers["etag"]}).status_code == 200
    assert client.head("/").status_code == 200


def test_description_has_every_answer(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/translate"]["post"]
    assert {"200", "400", "404", "408", "413", "415", "422", "503", "504"} <= set(operation["responses"])
    assert {each["name"] for each in operation["parameters"]} == {"model", "format", "quality", "seed", "amount"}
    assert "multipart/form-data" in operation["requestBody"]["content"]


def test_no_cross_origin_access(client: TestClient) -> None:
    response = client.get("/models", headers={"Origin": "https://example.org"})
    assert not [name for name in response.headers if name.startswith("access-control")]


# Mutants tried: /models without HEAD.
