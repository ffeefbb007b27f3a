"""POST /translate: a picture in, the translated picture out."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from server.engine import Engine, Place
from server.metrics import Metrics
from server.problems import Problem, described
from server.settings import Settings
from server.shelf import Loaded
from server.upload import Upload, read_upload
from translate import __version__
from translate.runtime.errors import TranslationFailed
from translate.runtime.model import draw_seed
from translate.runtime.picture import FORMATS, Picture

log = logging.getLogger("server")
router = APIRouter(tags=["translate"])

FORMAT_NAMES = {"jpeg": "JPEG", "jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "tif": "TIFF", "bmp": "BMP"}
MEDIA_TYPES = {media_type for _, media_type in FORMATS.values()}
PART = 256 * 2**10
"""Bytes of an answer that are handed over at a time."""
SMALL = 512 * 512
"""Pixels up to which pictures go through the network side by side."""
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
ERRORS: dict[int | str, str] = {
    400: "a parameter is wrong, or the form holds no `file`",
    401: "the server asks for a key, and none of its keys was sent",
    404: "no model of that name",
    408: "the upload took too long",
    413: "too many bytes or pixels",
    415: "not a supported picture",
    422: "a damaged picture",
    429: "too many pictures of this key or address; `Retry-After` says when to come back",
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
    """Seconds by stage. Each begins where the last one ended, so that together they are the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.began = self.last = time.perf_counter()
        self.stages: list[tuple[str, float, float]] = []
        """Name, start and end of each, by `time.perf_counter`."""

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        try:
            yield
        finally:
            self.ended(stage)

    def ended(self, stage: str, when: float | None = None) -> None:
        """Now, or at a `when` by `time.perf_counter`."""
        when = time.perf_counter() if when is None else when
        self[stage] = when - self.last
        self.stages.append((stage, self.last, when))
        self.last = when

    def header(self) -> str:
        """The value of Server-Timing, in milliseconds."""
        stages = {**self, "total": time.perf_counter() - self.began}
        return ", ".join(f"{stage};dur={1000 * seconds:.2f}" for stage, seconds in stages.items())


async def _asked(options: Annotated[Options, Query()]) -> Options:
    """Read once, though two functions take them."""
    return options


Asked = Annotated[Options, Depends(_asked)]


async def _place(request: Request, options: Asked) -> AsyncIterator[Place]:
    """Held until the answer is out: it takes memory for as long as the client takes to read it."""
    engine: Engine = request.app.state.engine
    _refuse_repetition(request)
    name = options.model or request.app.state.settings.model
    engine.shelf.find(name)  # unknown names end here, before the upload
    request.state.model = name
    with engine.place() as place:
        yield place


class Parts(Response):
    """An answer that is handed over part by part, each when the client has taken the one before, all in `seconds`."""

    def __init__(self, content: bytes, seconds: float, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body, sent = memoryview(self.body), 0
        try:
            async with asyncio.timeout(self._seconds):
                while len(body) - sent > PART:
                    await send({"type": "http.response.body", "body": body[sent : sent + PART], "more_body": True})
                    sent += PART
        except TimeoutError:
            log.warning("The client did not take its answer within %g seconds", self._seconds)
            return  # the connection ends, so that nobody takes this for the whole
        await send({"type": "http.response.body", "body": body[sent:]})


@router.post(
    "/translate",
    summary="Translate a picture",
    response_class=Response,
    openapi_extra=BODY,
    responses={
        200: {"description": "The picture.", "content": {media_type: {"schema": PICTURE} for media_type in sorted(MEDIA_TYPES)}},
        304: {"description": "`If-None-Match` names the `ETag` of this very answer, so it was not made again."},
        **described(ERRORS),
    },
)
async def translate(request: Request, options: Asked, place: Annotated[Place, Depends(_place)]) -> Response:
    engine: Engine = request.app.state.engine
    metrics: Metrics = request.app.state.metrics
    settings: Settings = request.app.state.settings
    timing = Timing()
    request.state.stages = timing.stages
    name: str = request.state.model
    try:
        with timing.measure("read"):
            upload = await read_upload(request, settings.max_bytes, settings.upload_timeout)
        job = Job(engine, place, name, upload, options, request.headers.get("if-none-match", ""), timing)
        try:
            response = await place.run(job.work, settings.timeout, _gone(request))
        finally:
            # Had it no worker, it has waited until now; else what is left is the way back from the worker
            timing.ended("answer" if "queue" in timing else "queue")
    finally:
        if "queue" in timing:
            metrics.queue_wait.observe(timing["queue"])
        if "infer" in timing:
            metrics.inference.labels(name).observe(timing["infer"])
    response.headers["X-Translate-Model"] = name
    response.headers["Server-Timing"] = timing.header()
    return response


def _refuse_repetition(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise Problem(400, f"{', '.join(repeated)}: given more than once")


@dataclass
class Job:
    """What a worker does for one request."""

    engine: Engine
    place: Place
    name: str
    upload: Upload
    options: Options
    known: str
    """The request's If-None-Match."""
    timing: Timing

    def work(self) -> Response:
        """Each stage lets go of what the stage before it held."""
        self.timing.ended("queue")
        self.place.check()
        with self.timing.measure("model"):
            loaded = self.engine.shelf.get(self.name)
        card = loaded.model.card
        if self.options.amount < 1 and card.scale > 1:
            raise Problem(
                400,
                f"amount: {self.name} enlarges pictures, so its result cannot be blended with the picture sent. Leave it out.",
            )
        headers = {"X-Translate-Version": loaded.digest[:12]}
        seed = None
        if card.noise is not None:
            seed = draw_seed() if self.options.seed is None else self.options.seed
            headers["X-Translate-Seed"] = str(seed)
        if seed is None or self.options.seed is not None:  # else no other picture is the same
            headers["ETag"] = self._etag(loaded, seed)
            if headers["ETag"] in self.known:
                return Response(status_code=304, headers=headers)
        with self.timing.measure("decode"):
            picture = Picture.open(self.upload.take(), max_pixels=self.engine.settings.max_pixels)
        self.place.check()
        with self.timing.measure("infer"):
            picture = self._translated(picture, loaded, seed)
        format = FORMAT_NAMES[self.options.format] if self.options.format else picture.default_format
        with self.timing.measure("encode"):
            content = picture.encode(format, self.options.quality)
        suffixes, media_type = FORMATS[format]
        headers["Content-Disposition"] = _disposition(f"{self.upload.stem}-{self.name}{suffixes[0]}")
        if picture.warnings:
            headers["X-Translate-Warning"] = quote("; ".join(picture.warnings), safe=" ,;:()'/")
        return Parts(content, self.engine.settings.timeout, media_type, headers)

    def _translated(self, picture: Picture, loaded: Loaded, seed: int | None) -> Picture:
        small = picture.width * picture.height <= SMALL
        try:
            model = loaded.single() if small and self.engine.several() else loaded.model
            return model(picture, seed=seed, amount=self.options.amount, consume=True, progress=lambda *_: self.place.check())
        except TranslationFailed:
            self.engine.shelf.rebuild(self.name, loaded)
            raise

    def _etag(self, loaded: Loaded, seed: int | None) -> str:
        """The hash of all that the answer follows from."""
        format = self.options.format and FORMAT_NAMES[self.options.format]
        told = (__version__, loaded.digest, format, self.options.quality, self.options.amount, seed)
        return f'"{hashlib.sha256(repr(told).encode() + hashlib.sha256(self.upload.content).digest()).hexdigest()[:32]}"'


def _disposition(filename: str) -> str:
    """RFC 6266: what old clients read, then the whole name in UTF-8."""
    plain = filename.encode("ascii", "replace").decode().replace("?", "_").replace("\\", "_")
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


async def _gone(request: Request) -> None:
    """Returns once the client has hung up. For use after the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
