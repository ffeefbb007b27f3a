"""Who may use the server, and how often: API keys and rates. Neither unless it is told."""

import base64
import hashlib
import hmac
import ipaddress
import logging
import math
import re
import time
from pathlib import Path

from fastapi import Request

from server.problems import Problem

log = logging.getLogger("server")

KEY = re.compile(r"[!-~]{16,}")
"""A key can be sent in a header, and takes longer to guess than anybody has."""


class Keys:
    """The keys of a file, which is read again when it changes. Only their hashes are kept."""

    def __init__(self, path: Path) -> None:
        """Raises `ValueError` where the file cannot be read, a line is no key, or there is none."""
        self._path = path
        self._stamp = self._look()
        self._digests = self._read()
        if not self._digests:
            raise ValueError(f"{path} holds no key: write one in a line, of 16 letters, digits and signs or more")

    def holder(self, key: str) -> str | None:
        """A short name of the key for logs and rates; None where it is not in the file."""
        self._refresh()
        presented = hashlib.sha256(key.encode()).digest()
        # All are compared, each in the same time: an answer's delay tells nothing
        matches = sum(hmac.compare_digest(presented, known) for known in self._digests)
        return presented.hex()[:8] if matches else None

    def _refresh(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._digests = self._read()
        except ValueError as error:
            log.error("%s The keys from before stay.", error)
        else:
            log.info("%s holds %d keys now", self._path, len(self._digests))

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> tuple[bytes, ...]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise ValueError(f"{self._path} cannot be read: {error}.") from error
        if not any(map(str.strip, lines)):  # as it is while somebody writes it anew
            raise ValueError(f"{self._path} is empty: to withdraw every key, leave a line that begins with #.")
        keys = []
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            if not KEY.fullmatch(line):
                raise ValueError(f"{self._path}, line {number}: a key has 16 letters, digits and signs or more, without spaces.")
            keys.append(hashlib.sha256(line.encode()).digest())
        return tuple(keys)


class Rate:
    """How many requests each may make in a time, as `60/minute`, `1000/day` or `5 per 10 seconds`."""

    def __init__(self, rate: str) -> None:
        """Raises `ValueError` for what is no rate."""
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        self._rate = parse(rate)
        if self._rate.amount < 1:
            raise ValueError(f"{rate} lets nobody in: write how many pictures, as 60/minute")
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def wait(self, who: str) -> int | None:
        """Counts one request. Where it is one too many, the seconds until there is room again."""
        if self._limiter.hit(self._rate, who):
            return None
        return max(1, math.ceil(self._limiter.get_window_stats(self._rate, who).reset_time - time.time()))


async def known(request: Request) -> None:
    """Raises a 401 unless the request bears one of the keys."""
    keys: Keys = request.app.state.keys
    key = _presented(request)
    holder = None if key is None else keys.holder(key)
    if holder is None:
        detail = "This server asks for a key: send one of its keys as 'Authorization: Bearer …'."
        # Basic, because every browser can ask for it; and no other beside it, or Chromium does not
        raise Problem(401, detail, {"WWW-Authenticate": 'Basic realm="a key as the password", charset="UTF-8"'})
    request.state.holder = holder


async def seldom(request: Request) -> None:
    """Raises a 429 where this key, or without keys this address, has sent too many pictures."""
    rate: Rate = request.app.state.rate
    who = getattr(request.state, "holder", None) or _network(request)
    if (wait := rate.wait(who)) is not None:
        raise Problem(
            429, f"More than {request.app.state.settings.rate}. Try again in {wait} seconds.", {"Retry-After": str(wait)}
        )


def _presented(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    # A browser sends a password that it knows wherever a page tells it to, even a page of another site
    if scheme.lower() == "basic" and request.headers.get("sec-fetch-site") != "cross-site":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return None
    return request.headers.get("x-api-key")


def _network(request: Request) -> str:
    """Of the client: its address, or all that one subscriber may have of version 6."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    address = getattr(address, "ipv4_mapped", None) or address  # as proxies write it that listen to both versions
    return str(address) if address.version == 4 else str(ipaddress.ip_network((int(address), 64), strict=False))
