"""What strangers send: pictures made to crash, to hang or to fill the memory, and requests made from the description itself."""

import asyncio
import gc
import io
import random
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from server.app import create_app
from server.settings import Settings
from tests.server.conftest import Serve, encoded, pixels
from tests.server.test_translate import png_header

ANSWERS = {200, 413, 415, 422}
FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"progressive": True},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "GIF": {},
}
MAGIC = {
    "pdf": b"%PDF-1.7\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "fits": b"SIMPLE  =                    T" + b" " * 2850,
    "psd": b"8BPS\0\1" + bytes(20),
    "ico": b"\0\0\1\0\1\0" + bytes(60),
    "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
    "gzip": b"\x1f\x8b\x08" + bytes(60),
    "zip": b"PK\3\4" + bytes(60),
    "xml": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>',
    "python": b"\x80\x05cos\nsystem\n(S'true'\ntR.",
}


def damaged(whole: bytes, rng: random.Random) -> Iterator[bytes]:
    """Cut short at several places, and with bytes changed, most of them near the head, where the sizes are."""
    for share in (0.1, 0.4, 0.7, 0.98):
        yield whole[: int(len(whole) * share)]
    for reach in (40, 40, 40, 120, len(whole), len(whole)):
        changed = bytearray(whole)
        for _ in range(3):
            changed[rng.randrange(4, min(reach, len(whole)))] = rng.choice((0, 1, 127, 128, 255))
        yield bytes(changed)
    yield whole + b"<script>alert(1)</script>" * 40


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bombs() -> Iterator[bytes]:
    """Small files that claim, or unfold to, a great deal."""
    head, line = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0), zlib.compress(bytes(8 * 25))
    unfolding = zlib.compress(bytes(20_000_000), 9)
    yield png((b"IHDR", head), (b"zTXt", b"a\0\0" + unfolding), (b"IDAT", line), (b"IEND", b""))
    yield png((b"IHDR", head), (b"iCCP", b"a\0\0" + unfolding), (b"IDAT", line), (b"IEND", b""))
    yield png((b"IHDR", head), (b"IDAT", unfolding), (b"IEND", b""))
    yield png((b"IHDR", head), *[(b"tEXt", b"a\0b")] * 20_000, (b"IDAT", line), (b"IEND", b""))
    yield png((b"IHDR", head), (b"acTL", struct.pack(">II", 2**31 - 1, 0)), (b"IDAT", line), (b"IEND", b""))
    for width, height in ((0, 0), (0, 8), (2**31 - 1, 2**31 - 1), (2**32 - 1, 1), (1, 2**31 - 1)):
        yield png_header(width, height)
    jpeg = bytearray(encoded(pixels(), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    yield bytes(jpeg)
    gif = bytearray(encoded(pixels(), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    yield bytes(gif)
    bmp = bytearray(encoded(pixels(), "BMP"))
    for width, height in ((2**31 - 1, 2**31 - 1), (-5, 5), (8, -(2**31)), (0, 0)):
        bmp[18:26] = struct.pack("<ii", width, height)
        yield bytes(bmp)
    yield from tiffs()


def tiffs() -> Iterator[bytes]:
    """A directory that leads to itself; strips that lie nowhere; sizes that cannot be; tags without number."""

    def tiff(*tags: tuple[int, int, int, int], following: int = 0) -> bytes:
        entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
        return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + bytes(64)

    base = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}

    def told(**changed: int) -> list[tuple[int, int, int, int]]:
        return [(tag, 4, 1, value) for tag, value in (base | {int(key[1:]): value for key, value in changed.items()}).items()]

    yield tiff(*told(), following=8)
    yield tiff(*told(t273=2**32 - 1))
    yield tiff(*told(t279=2**32 - 1))
    yield tiff(*told(t256=2**32 - 1, t257=2**32 - 1))
    yield tiff(*told(t256=2**16, t257=2**15, t278=1))
    yield tiff(*told(t278=0))
    yield tiff(*told(t258=2**31))
    yield tiff(*told(t277=65535))
    yield tiff(*told(), (330, 4, 2**30, 8), (34665, 4, 1, 8), (34675, 7, 2**31, 8))
    yield tiff(*told(t259=7), (347, 7, 60, 8))


@pytest.fixture(scope="module")
def corpus() -> list[bytes]:
    rng, found = random.Random(0), [*MAGIC.values(), *bombs()]
    for format, options in FORMATS.items():
        found += damaged(encoded(pixels(60, 50), format, **options), rng)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 77, "x" * 60_000
    found += damaged(encoded(pixels(60, 50), "JPEG", exif=exif.tobytes()), rng)
    return found


def is_idle(client: TestClient) -> bool:
    engine = client.app.state.engine  # type: ignore[attr-defined]
    return not engine._running and engine._places._value == engine.workers + engine.settings.queue


def test_no_picture_makes_it_fail_or_hang(serve: Serve, corpus: list[bytes]) -> None:
    client = serve(timeout=30, max_pixels=10**7)
    for number, content in enumerate(corpus):
        response = client.post("/translate", content=content)
        assert response.status_code in ANSWERS, (number, content[:60], response.text)
        if response.status_code != 200:
            assert response.headers["content-type"] == "application/problem+json"
    assert is_idle(client)
    assert client.post("/translate", content=encoded(pixels())).status_code == 200


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells how much memory is in use")
def test_nothing_that_is_refused_stays_in_memory(serve: Serve) -> None:
    client = serve(max_bytes=2_000_000)
    large = encoded(np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8))
    refused = [large[:-9000], b"no picture" * 140_000, large + bytes(2_000_000)]

    def send(times: int) -> None:
        for _ in range(times):
            statuses = [client.post("/translate", content=content).status_code for content in refused]
            statuses.append(client.post("/translate", files={"other": large}).status_code)
            assert statuses == [422, 415, 413, 400]

    send(2)
    before, threads = resident(), threading.active_count()
    send(12)
    assert threading.active_count() <= threads + 2
    assert resident() - before < 30_000_000  # of 70 MB sent


@pytest.mark.parametrize("form", [False, True])
@pytest.mark.parametrize("status", [415, 422, 413, 400])
def test_what_is_refused_is_let_go_without_looking_for_circles(weights: Path, status: int, form: bool) -> None:
    """The collector comes seldom where objects are few and large."""
    size, small = 2_500_000, encoded(np.zeros((20, 20, 3), np.uint8))
    content, query = {
        415: (b"no picture", ""),
        422: (small[:60], ""),
        413: (encoded(np.zeros((200, 200, 3), np.uint8)), ""),
        400: (small, "model=double&amount=0.5"),
    }[status]
    told: dict[str, Any] = {"files": {"file": content.ljust(size, b"\0")}} if form else {"content": content.ljust(size, b"\0")}
    request = httpx.Request("POST", f"http://localhost/translate?{query}", **told)
    whole, headers = request.read(), [(name.lower(), value) for name, value in request.headers.raw]

    async def send(app: Any) -> int:
        parts, answered = [whole[at : at + 2**16] for at in range(0, len(whole), 2**16)], []

        async def receive() -> dict[str, Any]:
            if parts:
                return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
            await asyncio.sleep(60)
            raise AssertionError

        async def note(message: dict[str, Any]) -> None:
            answered.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/translate", "query_string": query.encode(), "scheme": "http"}
        await app(scope | {"http_version": "1.1", "headers": headers}, receive, note)
        return answered[0]

    app = create_app(Settings(weights=(weights,), threads=1, max_bytes=3_000_000, max_pixels=10_000))
    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(send(app)) == status
        gc.collect()
        gc.disable()
        tracemalloc.start()
        assert [loop.run_until_complete(send(app)) for _ in range(4)] == [status] * 4
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
        loop.close()
        app.state.engine.close()
    assert left < size, f"{left / size:.1f} of 4 uploads are still there"


def test_the_description_is_kept(serve: Serve) -> None:
    """Requests made by chance from each operation of /openapi.json, some right and some wrong, get an answer that it tells of."""
    client = serve(timeout=30)
    client.app.state.engine.load()  # type: ignore[attr-defined]
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    asked = set()
    for operation in (found.ok() for found in schema.get_all_operations()):
        takes_much = bool(operation.body)
        for mode in GenerationMode if takes_much else [GenerationMode.POSITIVE]:

            @settings(
                max_examples=15 if takes_much else 2,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def sent(case: Any) -> None:
                case.call_and_validate(checks=checks)
                asked.add((case.method, case.path))

            sent()
    assert {("POST", "/translate"), ("GET", "/models/{name}"), ("GET", "/metrics")} <= asked


def test_pictures_of_the_corpus_are_small_enough_to_be_sent(corpus: list[bytes]) -> None:
    assert len(corpus) > 100
    assert max(map(len, corpus)) < 500_000
    assert any(_opens(content) for content in corpus)


def _opens(content: bytes) -> bool:
    try:
        Image.open(io.BytesIO(content)).load()
    except Exception:  # noqa: BLE001 # whatever it is
        return False
    return True


# Mutants tried: a decoder's error that is not caught; uploads kept on the application; a status left out of the description.
