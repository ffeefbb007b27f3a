"""OpenTelemetry traces of requests to /translate, one span for each stage. Needs the extra `otel`."""

import time
from collections.abc import Iterable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import translate
from server.logs import request_id

Stages = Iterable[tuple[str, float, float]]
"""Name, start and end, by `time.perf_counter`."""


class Traced:
    """ASGI layer: a span for each picture, in the trace that a `traceparent` header names. Sent now and then, and at the end."""

    def __init__(self, app: ASGIApp, endpoint: str):
        self.app = app
        resource = Resource.create({"service.name": "translate", "service.version": translate.__version__})
        self.provider = TracerProvider(resource=resource)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self._tracer = self.provider.get_tracer("server")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", "/translate"):
            await self.app(scope, receive, send)
            return
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        context = TraceContextTextMapPropagator().extract(carrier)
        told = {"http.request.method": "POST", "http.route": "/translate", "translate.request_id": request_id.get()}
        with self._tracer.start_as_current_span("POST /translate", context, SpanKind.SERVER, told) as span:

            async def note_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            try:
                await self.app(scope, receive, note_status)
            finally:
                state = scope.get("state", {})
                if "model" in state:
                    span.set_attribute("translate.model", state["model"])
                _add_stages(self._tracer, state.get("stages", ()))


def _add_stages(tracer: Tracer, stages: Stages) -> None:
    began = time.time_ns() - time.perf_counter_ns()
    for stage, started, ended in stages:
        tracer.start_span(stage, start_time=began + int(started * 1e9)).end(began + int(ended * 1e9))
