"""Exceptions -> application/problem+json (RFC 9457). The one table of which error has which status."""

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from translate.runtime import errors

log = logging.getLogger("server")

STATUS: dict[type[errors.TranslateError], int] = {
    errors.PictureTooLarge: 413,
    errors.UnsupportedPicture: 415,
    errors.CorruptPicture: 422,
    errors.PictureError: 422,
    errors.TranslateError: 500,
}
CLIENT_GONE = 499
"""Nobody reads this answer; the access log and the metrics do."""


class Problem(Exception):
    """An answer other than the picture. `detail` is one sentence for the person who made the request."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def install(app: FastAPI) -> None:
    """Makes every error of `app`, FastAPI's own included, a problem+json answer; faults are left to `layers.Identified`."""
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, _letting_go(handler))


def described(problems: Mapping[int | str, str]) -> dict[int | str, dict[str, Any]]:
    """For the description at /docs: which status means what."""
    return {status: {"description": text, "content": {"application/problem+json": {}}} for status, text in problems.items()}


def answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, headers=dict(headers or {}), media_type="application/problem+json")


def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(error.status, error.detail, error.headers)


def _translate_error(request: Request, error: Exception) -> Response:
    if isinstance(error, errors.ModelNotFound):  # its own message may name folders of this machine
        names = ", ".join(request.app.state.engine.shelf.store.names())
        return answer(404, f"There is no such model. Known: {names or 'none'}.")
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if status < 500:
        return answer(status, str(error))
    log.error("%s: %s", type(error).__name__, error)
    return answer(status, "The server cannot run this model. Its log says why.")


def _out_of_memory(_: Request, error: Exception) -> Response:
    log.error("Out of memory: %s", error)
    detail = "There is not enough memory for this picture at the moment. Try again later, or send a smaller one."
    return answer(503, detail, {"Retry-After": "10"})


def _invalid_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(400, "; ".join(f"{each['loc'][-1]}: {_in_words(each)}" for each in error.errors()))


def _in_words(error: Mapping[str, Any]) -> str:
    return "no such parameter; see /docs" if error["type"] == "extra_forbidden" else str(error["msg"])


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = {
        404: f"There is nothing at {request.url.path}. The service is described at /docs.",
        405: f"{request.method} is not possible at {request.url.path}. The service is described at /docs.",
    }.get(error.status_code, str(error.detail))
    return answer(error.status_code, detail, error.headers)


def _client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


Handler = Callable[[Request, Exception], Response]
HANDLERS: Mapping[type[Exception], Handler] = {
    Problem: _problem,
    errors.TranslateError: _translate_error,
    errors.OutOfMemory: _out_of_memory,
    MemoryError: _out_of_memory,
    RequestValidationError: _invalid_parameter,
    HTTPException: _http_exception,
    ClientDisconnect: _client_gone,
}


def _letting_go(handler: Handler) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Where an error came through, frames hold the upload, and a future among them holds the error: a circle, for which Python
    looks seldom where objects are few and large."""

    async def handle(request: Request, error: Exception) -> Response:  # on the loop: frames that wait there are not touched
        try:
            return handler(request, error)
        finally:
            each: BaseException | None = error
            while each is not None:
                traceback.clear_frames(each.__traceback__)
                each = each.__cause__ or each.__context__

    return handle
