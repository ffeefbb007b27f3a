"""Liveness, readiness and metrics, for whatever watches over the server."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server.engine import Engine
from server.problems import Problem, described

router = APIRouter(tags=["operations"])
metrics_router = APIRouter(tags=["operations"])


UNWELL = described({503: "not so; `detail` says why"})


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="The process can work; where not, it should be started again", responses=UNWELL)
async def healthz(request: Request) -> dict[str, str]:
    engine: Engine = request.app.state.engine
    if engine.stuck():
        raise Problem(503, "A worker does not come back from its picture. The server has to be started again.")
    if crashed := engine.shelf.beyond_repair():
        raise Problem(
            503, f"Crashed, and not to be loaded again: {', '.join(sorted(crashed))}. The server has to be started again."
        )
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="The default model is loaded, and loading at start is over", responses=UNWELL)
async def readyz(request: Request) -> dict[str, str]:
    name = request.app.state.settings.model
    if not request.app.state.engine.ready:
        raise Problem(503, f"The model '{name}' is not loaded yet.", {"Retry-After": "1"})
    return {"status": "ready", "model": name}


@metrics_router.head("/metrics", include_in_schema=False)
@metrics_router.get("/metrics", summary="Metrics in Prometheus' text format", response_class=Response)
async def metrics(request: Request) -> Response:
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
