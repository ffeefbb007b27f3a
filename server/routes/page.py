"""The web page, and the description of the service at /docs: a few files, held in memory, all from this server."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request, Response

router = APIRouter(include_in_schema=False)

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    content: bytes
    media_type: str
    etag: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of the page by its name. A name in a request is looked up here, never on the disk."""
    found = {}
    for path in files("server").joinpath("ui").iterdir():
        media_type = TYPES.get(path.name[path.name.rfind(".") :])
        if media_type:
            content = path.read_bytes()
            found[path.name] = Asset(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return found


def serve(request: Request, name: str) -> Response:
    """The asset, or 304 where the browser has it. It asks each time, so an update of the server is seen at once."""
    asset = assets()[name]
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


@router.head("/")
@router.get("/")
def index(request: Request) -> Response:
    return serve(request, "index.html")


@router.head("/docs")
@router.get("/docs")
def docs(request: Request) -> Response:
    return serve(request, "docs.html")


@router.head("/ui/{name}")
@router.get("/ui/{name}")
def asset(request: Request, name: str) -> Response:
    if name not in assets():
        raise HTTPException(404)
    return serve(request, name)
