"""POST /translate: a picture in, the translated picture out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from server.engine import Engine, Place
from server.metrics import Metrics
from server.problems import Problem
from server.settings import Settings
from server.upload import Upload, read_upload
from translate.runtime.model import Model, draw_seed
from translate.runtime.picture import FORMATS, Picture

router = APIRouter(tags=["translate"])

FORMAT_NAMES = {"jpeg": "JPEG", "jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "tif": "TIFF", "bmp": "BMP"}
MEDIA_TYPES = {media_type for _, media_type in FORMATS.values()}
PICTURE: dict[str, Any] = {"type": "string", "format": "binary"}
BODY = {
    "requestBody": {
        "required": True,
        "description": "The picture: as the file field `file` of a form, or as the body itself with any other content type.",
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {"file": PICTURE}}},
            "image/*": {"schema": PICTURE},
        },
    }
}
ERRORS = {
    400: "a parameter is wrong, or the form holds no `file`",
    404: "no model of that name",
    408: "the upload took too long",
    413: "too many bytes or pixels",
    415: "not a supported picture",
    422: "a damaged picture",
    503: "too many pictures at once, or too little memory; `Retry-After` says when to come back",
    504: "out of time",
}


class Options(BaseModel):
    """The query of POST /translate."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, max_length=64, description="Name of a model. The server's default where left out.")
    format: Literal["jpeg", "jpg", "png", "webp", "tiff", "tif", "bmp"] | None = Field(
        None, description="Format of the answer. That of the picture sent where left out."
    )
    quality: int | None = Field(None, ge=1, le=100, description="Of JPEG and WebP. A JPEG's own where left out.")
    seed: int | None = Field(None, ge=0, lt=2**64, description="For models with noise: the same seed, the same picture.")
    amount: float = Field(
        1.0, ge=0, le=1, allow_inf_nan=False, description="0 keeps the picture as it is, 1 is the model's answer."
    )


class Timing(dict[str, float]):
    """Seconds by stage."""

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self[stage] = time.perf_counter() - started

    def header(self, **more: float) -> str:
        """The value of Server-Timing, in milliseconds."""
        return ", ".join(f"{stage};dur={1000 * seconds:.1f}" for stage, seconds in (more | self).items())


@router.post(
    "/translate",
    summary="Translate a picture",
    response_class=Response,
    openapi_extra=BODY,
    responses={
        200: {"description": "The picture.", "content": {media_type: {"schema": PICTURE} for media_type in sorted(MEDIA_TYPES)}},
        **{status: {"description": text, "content": {"application/problem+json": {}}} for status, text in ERRORS.items()},
    },
)
async def translate(request: Request, options: Annotated[Options, Query()]) -> Response:
    engine: Engine = request.app.state.engine
    metrics: Metrics = request.app.state.metrics
    settings: Settings = request.app.state.settings
    _refuse_repetition(request)
    name = options.model or settings.model
    engine.store.find(name)  # unknown names end here, before the upload
    request.state.model = name
    timing = Timing()
    with timing.measure("total"), engine.place() as place:
        with timing.measure("read"):
            upload = await read_upload(request, settings.max_bytes, settings.upload_timeout)
        work = partial(_picture_to_response, engine, place, name, upload, options, timing)
        response = await place.run(work, settings.timeout, _gone(request))
    metrics.queue_wait.observe(place.waited)
    metrics.inference.labels(name).observe(timing["infer"])
    response.headers["X-Translate-Model"] = name
    response.headers["Server-Timing"] = timing.header(queue=place.waited)
    return response


def _refuse_repetition(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise Problem(400, f"{', '.join(repeated)}: given more than once")


def _picture_to_response(engine: Engine, place: Place, name: str, upload: Upload, options: Options, timing: Timing) -> Response:
    """Runs in a worker. Each stage lets go of what the stage before it held."""
    place.check()
    model = engine.model(name)
    if options.amount < 1 and model.card.scale > 1:
        raise Problem(
            400, f"amount: {name} enlarges pictures, so its result cannot be blended with the picture sent. Leave it out."
        )
    with timing.measure("decode"):
        picture = Picture.open(upload.take(), max_pixels=engine.settings.max_pixels)
    place.check()
    seed = _seed(model, options)
    with timing.measure("infer"):
        picture = model(picture, seed=seed, amount=options.amount, consume=True, progress=lambda *_: place.check())
    format = FORMAT_NAMES[options.format] if options.format else picture.default_format
    with timing.measure("encode"):
        content = picture.encode(format, options.quality)
    suffixes, media_type = FORMATS[format]
    headers = {"Content-Disposition": _disposition(f"{upload.stem}-{name}{suffixes[0]}")}
    if seed is not None:
        headers["X-Translate-Seed"] = str(seed)
    if picture.warnings:
        headers["X-Translate-Warning"] = quote("; ".join(picture.warnings), safe=" ,;:()'/")
    return Response(content, media_type=media_type, headers=headers)


def _seed(model: Model, options: Options) -> int | None:
    if model.card.noise is None:
        return None
    return draw_seed() if options.seed is None else options.seed


def _disposition(filename: str) -> str:
    """RFC 6266: what old clients read, then the whole name in UTF-8."""
    plain = filename.encode("ascii", "replace").decode().replace("?", "_").replace("\\", "_")
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


async def _gone(request: Request) -> None:
    """Returns once the client has hung up. For use after the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
