"""create_app: one server of translators."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.middleware.cors import CORSMiddleware

import translate
from server import access, problems
from server.engine import Engine
from server.layers import Identified, Lingering, OwnHosts, SecurityHeaders
from server.metrics import Metrics, Observed
from server.routes import health, models, page
from server.routes import translate as translate_route
from server.settings import Settings

TELLING = ["Content-Disposition", "ETag", "Retry-After", "Server-Timing", "X-Request-ID"]
TELLING += [f"X-Translate-{what}" for what in ("Model", "Seed", "Version", "Warning")]
"""Headers that scripts of other sites may read."""


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """The ASGI application. `engine` may come with models loaded already; otherwise they are loaded at start.

    Raises `ValueError` where the file of keys holds none, and `ImportError` where traces are wanted and the extra is missing.
    """
    app = FastAPI(
        title="Translate",
        version=translate.__version__,
        description="Image-to-image translation: a picture in, the translated picture out.",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,  # a POST that is sent on loses its picture in most clients
    )
    app.state.settings = settings
    app.state.engine = engine or Engine(settings)
    app.state.metrics = Metrics()
    _surround(app, settings)
    problems.install(app)
    locks, brakes = [], []
    if settings.keys is not None:
        app.state.keys = access.Keys(settings.keys)
        # The last two look at nothing: they put the keys into the description at /docs
        locks = [
            Depends(access.known),
            Depends(HTTPBearer(auto_error=False)),
            Depends(APIKeyHeader(name="X-API-Key", auto_error=False)),
        ]
    if settings.rate is not None:
        app.state.rate = access.Rate(settings.rate)
        brakes = [Depends(access.seldom)]
    app.include_router(translate_route.router, dependencies=[*locks, *brakes])
    app.include_router(models.router, dependencies=locks)
    app.include_router(health.metrics_router, dependencies=locks)
    for module in (health, page):
        app.include_router(module.router)
    return app


def _surround(app: FastAPI, settings: Settings) -> None:
    """The layers, from the innermost."""
    app.add_middleware(OwnHosts, names=settings.hosts)
    app.add_middleware(Observed, metrics=app.state.metrics)
    app.add_middleware(Lingering)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "If-None-Match", "X-API-Key", "X-Request-ID"],
            expose_headers=TELLING,
        )
    if settings.traces is not None:
        from server.tracing import Traced  # an extra

        app.add_middleware(Traced, endpoint=settings.traces)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Identified)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    loading = asyncio.create_task(_load(app.state.engine))
    yield
    loading.cancel()
    app.state.engine.close()


async def _load(engine: Engine) -> None:
    """In the background: the process answers /healthz at once, and /readyz once this is done.

    Where the default model is missing or broken, it is looked at again until someone has put it right.
    """
    while True:
        await asyncio.to_thread(engine.load)
        if engine.ready:
            return
        await asyncio.sleep(1)
