"""Liveness, readiness and metrics, for whatever watches over the server."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server.problems import Problem

router = APIRouter(tags=["operations"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="The process answers")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="The default model is loaded")
async def readyz(request: Request) -> dict[str, str]:
    name = request.app.state.settings.model
    if not request.app.state.engine.loaded(name):
        raise Problem(503, f"The model '{name}' is not loaded yet.", {"Retry-After": "1"})
    return {"status": "ready", "model": name}


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics", summary="Metrics in Prometheus' text format", response_class=Response)
async def metrics(request: Request) -> Response:
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
