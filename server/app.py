"""create_app: one server of translators."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import translate
from server import problems
from server.engine import Engine
from server.layers import Lingering, SecurityHeaders
from server.metrics import Metrics, Observed
from server.routes import health, models, page
from server.routes import translate as translate_route
from server.settings import Settings
from translate.runtime.errors import TranslateError

log = logging.getLogger("server")


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """The ASGI application. `engine` may come with models loaded already; otherwise the default one is loaded at start."""
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
    app.add_middleware(Observed, metrics=app.state.metrics)
    app.add_middleware(Lingering)
    app.add_middleware(SecurityHeaders)
    problems.install(app)
    for module in (translate_route, models, health, page):
        app.include_router(module.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    loading = asyncio.create_task(asyncio.to_thread(_load_default, app.state.engine))
    yield
    await loading
    app.state.engine.close()


def _load_default(engine: Engine) -> None:
    """In the background: the process answers /healthz at once, and /readyz once this is done."""
    try:
        engine.model(engine.settings.model)
    except TranslateError as error:
        log.error("The default model cannot be loaded, so this server never becomes ready: %s", error)
