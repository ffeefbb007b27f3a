"""ASGI layers around the whole application."""

import asyncio
import ipaddress
import logging
import re
import time
import uuid
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.logs import request_id
from server.problems import CLIENT_GONE, answer

log = logging.getLogger("server")

LINGER = 10.0
"""Seconds for which the rest of a refused upload is read and dropped."""
IDENTITY = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""A request's id from outside is taken over if it can do no harm in a log or a header."""
QUIET = {"/healthz", "/readyz", "/metrics"}
"""Asked for every few seconds by what watches over the server: logged only where something is wrong."""

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SECURITY_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY.items()]
"""As ASGI and h11 take them."""


class Identified:
    """ASGI layer: gives each request an id, logs it once it is answered, and answers for whatever has gone wrong inside."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"x-request-id", b"")
        identity = told.decode() if IDENTITY.fullmatch(told) else uuid.uuid4().hex
        token, status, started = request_id.set(identity), 0, time.perf_counter()

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", identity.encode())]
            await send(message)

        try:
            await self.app(scope, receive, with_id)
        except Exception:
            log.exception("A fault of the server")
            if status:
                raise  # half an answer is out: let the connection end, so that nobody takes it for whole
            await answer(500, "The server failed on this request. Its log says why.")(scope, receive, with_id)
        finally:
            _log_access(scope, status or CLIENT_GONE, time.perf_counter() - started)
            request_id.reset(token)


def _log_access(scope: Scope, status: int, seconds: float) -> None:
    method, path = scope["method"], scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:200]
    if status < 400 and path in QUIET:
        return
    fields = {"method": method, "path": path, "status": status, "seconds": round(seconds, 4)}
    if scope.get("client"):
        fields["client"] = scope["client"][0]
    fields |= {key: scope["state"][key] for key in ("model", "holder") if key in scope.get("state", {})}
    level = logging.ERROR if status == 500 else logging.INFO
    log.log(level, "%s %s %d in %.3f s [%s]", method, path, status, seconds, request_id.get(), extra={"fields": fields})


class SecurityHeaders:
    """ASGI layer: the page may load nothing from elsewhere and stand in nobody's frame."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class OwnHosts:
    """ASGI layer: answers only where it is addressed by a name of its own.

    Otherwise a page elsewhere could have its site's name lead here, and read all that is served to this machine alone (DNS
    rebinding). No site can do that with an IP address or a name without a dot, so these need not be told.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]):
        self.app = app
        self._names = [name.lower() for name in names]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not all(self._own(value) for key, value in scope["headers"] if key == b"host"):
            scope.setdefault("state", {})["reason"] = "host"
            detail = "This server does not go by that name. Whoever runs it can add the name to TRANSLATE_HOSTS."
            await answer(400, detail)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _own(self, value: bytes) -> bool:
        if "*" in self._names:
            return True
        told = re.fullmatch(rb"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::\d*)?", value.lower())
        if not told:
            return False
        host = (told[1] or told[2]).decode()
        return _is_address(host) or "." not in host or any(_names(name, host) for name in self._names)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _names(name: str, host: str) -> bool:
    return host.endswith(name) if name.startswith(".") else host == name


class Lingering:
    """ASGI layer: after an answer that came before the upload's end, reads the rest and drops it.

    Closing at once resets the connection, and browsers and many clients then show that instead of the answer.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _sends_unasked(scope):
            await self.app(scope, receive, send)
            return
        complete = False

        async def note_end() -> Message:
            nonlocal complete
            message = await receive()
            complete = not message.get("more_body", False)
            return message

        async def send_then_drain(message: Message) -> None:
            if complete or message["type"] != "http.response.body" or message.get("more_body", False):
                await send(message)
                return
            await send({**message, "more_body": True})
            try:
                async with asyncio.timeout(LINGER):
                    while not complete:
                        await note_end()
            except TimeoutError:
                pass  # this client has had its chance
            await send({"type": "http.response.body"})

        await self.app(scope, note_end, send_then_drain)


def _sends_unasked(scope: Scope) -> bool:
    """Whether a body comes that the client does not hold back until told to go on."""
    names = {name for name, _ in scope["headers"]}
    return b"expect" not in names and bool(names & {b"content-length", b"transfer-encoding"})
