"""ASGI layers around the whole application."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER = 10.0
"""Seconds for which the rest of a refused upload is read and dropped."""

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class SecurityHeaders:
    """ASGI layer: the page may load nothing from elsewhere and stand in nobody's frame."""

    def __init__(self, app: ASGIApp):
        self.app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in SECURITY.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


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
