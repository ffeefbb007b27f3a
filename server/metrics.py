"""Prometheus metrics of one server, and the ASGI layer that counts requests to /translate."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.problems import CLIENT_GONE

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)
REASONS = {
    400: "parameter",
    401: "key",
    404: "model",
    408: "slow",
    413: "large",
    415: "format",
    422: "corrupt",
    429: "rate",
    499: "gone",
    503: "busy",
    504: "time",
}


class Metrics:
    """Labels come from the model store and from this server alone, so that requests cannot make new ones."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # one more series for each, which nobody reads
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("translate_requests", "Requests to /translate.", ("model", "status"), registry=self.registry)
        self.duration = Histogram(
            "translate_request_duration_seconds",
            "From the request's head to its answer.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.queue_wait = Histogram(
            "translate_queue_wait_seconds", "Waiting for a worker.", buckets=SECONDS, registry=self.registry
        )
        self.inference = Histogram(
            "translate_inference_seconds",
            "In the network, all tiles of a picture.",
            ("model",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_progress = Gauge("translate_requests_in_progress", "Requests to /translate now.", registry=self.registry)
        self.rejected = Counter("translate_rejected", "Requests that got no picture.", ("reason",), registry=self.registry)

    def observe(self, model: str, status: int, seconds: float, reason: str | None = None) -> None:
        self.requests.labels(model, str(status)).inc()
        self.duration.observe(seconds)
        if status >= 400:
            self.rejected.labels(reason or REASONS.get(status, "other")).inc()


class Observed:
    """ASGI layer: counts and times requests to /translate. They leave the model's name in `scope["state"]`."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/translate":
            await self.app(scope, receive, send)
            return
        status, started = CLIENT_GONE, time.perf_counter()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self.metrics.in_progress.track_inprogress():
            try:
                await self.app(scope, receive, note_status)
            except Exception:
                status = 500
                raise
            finally:
                state = scope.get("state", {})
                self.metrics.observe(state.get("model", ""), status, time.perf_counter() - started, state.get("reason"))
