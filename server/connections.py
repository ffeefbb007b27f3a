"""Connections: how long one may wait with its request, and how many there may be. Of HTTP itself uvicorn knows more."""

import asyncio
import logging
import socket
import time
import uuid

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.layers import SECURITY_HEADERS
from server.problems import answer

log = logging.getLogger("server")

HEAD = 20.0
"""Seconds that a request's head may take, from the connection on."""
MOST = 2048
"""Connections at a time."""
RESERVED = 192
"""Open files that are kept for models, logs and connections that have only just been taken on."""
ACCEPTED = 128
"""Connections that the system holds for the server, and that it takes on in one go."""


def most() -> int:
    """Connections that this process can hold at a time, after it has been let open as many files as it may."""
    try:
        import resource
    except ImportError:  # Windows
        return MOST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + RESERVED
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST if soft == resource.RLIM_INFINITY else max(16, min(MOST, soft - RESERVED))


class Connection(H11Protocol):
    """Where there are too many, the one that has been silent longest without a request makes room for the next."""

    most = MOST
    _deadline: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio sets it only where a socket says that it is TCP's; without, a small answer waits for the client's delayed ACK
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._since = time.monotonic()
        self._watch()
        if len(self.connections) > self.most:
            idle = (each for each in self.connections if isinstance(each, Connection) and each.waiting)
            # Itself waits too, so that there always is one
            min(idle, key=lambda each: each._since).transport.abort()

    def data_received(self, data: bytes) -> None:
        self._since = time.monotonic()
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatch()

    @property
    def waiting(self) -> bool:
        """Whether the head of a request, the first or the next, is still to come."""
        return self.conn.their_state is h11.IDLE

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered in the form of every other error."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # half an answer is out
            self.transport.close()
            return
        identity = uuid.uuid4().hex
        told = answer(400, "This is not a request that an HTTP server can read.")
        headers = [*told.raw_headers, *SECURITY_HEADERS, (b"x-request-id", identity.encode()), (b"connection", b"close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=bytes(told.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        log.info("What came from %s is no HTTP [%s]", self.client[0] if self.client else "a client", identity)

    def _watch(self) -> None:
        if not self.waiting:
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD, self._end)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        if self.waiting:
            self.transport.abort()
