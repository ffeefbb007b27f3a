"""What is to be seen of a server: logs with ids, traces, metrics and their dashboard."""

import io
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from server import logs
from server.routes import page
from server.tracing import Traced
from tests.server.conftest import Serve, encoded, pixels

DASHBOARD = Path(__file__).parents[2] / "docker" / "grafana" / "translate.json"
NAMED = {
    "translate_requests_total": ["model", "status"],
    "translate_request_duration_seconds": [],
    "translate_queue_wait_seconds": [],
    "translate_inference_seconds": ["model"],
    "translate_requests_in_progress": [],
    "translate_rejected_total": ["reason"],
}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`lines()` are the JSON objects that the log holds so far."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        root.handlers = []
        logs.configure(None)  # no terminal: JSON
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = handlers, level


def test_each_request_is_a_line_with_its_id(client: TestClient, lines: Any) -> None:
    response = client.post("/translate?seed=1", content=encoded(pixels()))
    (line,) = [line for line in lines() if line.get("path") == "/translate"]
    assert line["request_id"] == response.headers["x-request-id"]
    assert (line["method"], line["status"], line["model"]) == ("POST", 200, "restore")
    assert line["seconds"] > 0
    assert line["level"] == "info"


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        ("abc-DEF_1.2", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ('"}', False),
        ("é".encode(), False),
        ("", False),
    ],
)
def test_ids_from_outside(client: TestClient, told: Any, taken: bool) -> None:
    headers = {"X-Request-ID": told}
    ids = [client.get("/healthz", headers=headers).headers["x-request-id"] for _ in range(2)]
    assert (ids == [told] * 2) is taken
    assert taken or (len(set(ids)) == 2 and all(re.fullmatch("[0-9a-f]{32}", identity) for identity in ids))


def test_what_a_worker_logs_has_the_id_too(client: TestClient, lines: Any) -> None:
    client.post("/translate?model=nan", content=encoded(pixels()), headers={"X-Request-ID": "mine"})
    told = [line for line in lines() if line["level"] != "info"]
    assert any("nan" in line["message"] for line in told)
    assert {line["request_id"] for line in told} == {"mine"}


def test_a_fault_is_logged_with_its_trace_and_not_told(client: TestClient, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(page, "assets", fails)
    response = client.get("/", headers={"X-Request-ID": "mine"})
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == "mine"
    assert "secret" not in response.text
    (line,) = [line for line in lines() if "exception" in line]
    assert "a secret" in line["exception"]
    assert line["request_id"] == "mine"


def test_no_request_writes_a_line_of_its_own(client: TestClient, lines: Any) -> None:
    client.get("/%0a%7b%22level%22%3a%22forged%22%7d" + "x" * 500)
    assert {line["level"] for line in lines()} <= {"info", "warning", "error"}
    assert len([line for line in lines() if line.get("status") == 404]) == 1


def test_probes_are_quiet_while_all_is_well(client: TestClient, lines: Any) -> None:
    client.get("/healthz")
    client.get("/metrics")
    assert not [line for line in lines() if line.get("path") in ("/healthz", "/metrics")]


def test_traces(serve: Serve) -> None:
    received: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        client = serve(traces=f"http://127.0.0.1:{collector.server_port}/v1/traces")
        trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        headers = {"traceparent": f"00-{trace}-{parent}-01", "X-Request-ID": "mine"}
        assert client.post("/translate", content=encoded(pixels()), headers=headers).status_code == 200
        layer: Any = client.app.middleware_stack  # type: ignore[attr-defined]
        while not isinstance(layer, Traced):
            layer = layer.app
        layer.provider.shutdown()
        collector.shutdown()
        thread.join()
    spans = {
        span.name: span
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    assert set(spans) == {"POST /translate", "read", "queue", "model", "decode", "infer", "encode", "answer"}
    whole = spans["POST /translate"]
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (trace, parent)
    told = {each.key: each.value.string_value or each.value.int_value for each in whole.attributes}
    assert told["translate.model"] == "restore"
    assert told["translate.request_id"] == "mine"
    assert told["http.response.status_code"] == 200
    for name in set(spans) - {"POST /translate"}:
        assert spans[name].parent_span_id == whole.span_id
        assert whole.start_time_unix_nano <= spans[name].start_time_unix_nano <= spans[name].end_time_unix_nano


def test_metrics_are_those_promised(client: TestClient) -> None:
    client.post("/translate", content=encoded(pixels()))
    client.post("/translate?model=made-up", content=encoded(pixels()))
    text = client.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert {name for name in kinds if not name.startswith("process_")} == set(NAMED)
    for name, labels in NAMED.items():
        found = re.findall(rf"^{name}(?:_bucket|_count|_sum)?(?:\{{(.*)\}})? \S+$", text, re.MULTILINE)
        keys = {key for each in found for key in re.findall(r'(\w+)="', each)}
        assert found
        assert keys - {"le"} == set(labels)
    models = set(re.findall(r'model="([^"]*)"', text))
    assert models <= {"", *client.app.state.engine.shelf.store.names()}  # type: ignore[attr-defined]


def test_dashboard_shows_every_metric_and_no_other(client: TestClient) -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    client.post("/translate", content=encoded(pixels()))
    client.post("/translate", content=b"no picture")
    samples = set(re.findall(r"^([a-z_]+)(?:\{| )", client.get("/metrics").text, re.MULTILINE))
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    asked = {name for expr in shown for name in re.findall(r"\b((?:translate|process)_\w+)", expr)}
    assert asked <= samples
    for name in NAMED:
        assert any(each.startswith(name) for each in asked), name
    labels = {label for expr in shown for group in re.findall(r"by \(([^)]*)\)", expr) for label in group.split(", ")}
    assert labels <= {"le", *(label for each in NAMED.values() for label in each)}
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in dashboard["panels"])
    boxes = [panel["gridPos"] for panel in dashboard["panels"]]
    assert len({(box["x"], box["y"]) for box in boxes}) == len(boxes)


# Mutants tried: ids of any form are taken over; the worker runs without the request's context; a metric renamed.
