"""Who is let in: hosts, other sites, keys, rates. And no address in a request is ever fetched."""

import base64
import hmac
import os
import re
import socket
from pathlib import Path

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from pydantic import ValidationError

from server import access
from server.access import Keys
from server.settings import Settings
from tests.server.conftest import Serve, encoded, pixels

ONE, OTHER = "first-key-0123456789", "other-key-0123456789"
FOREIGN = {"Origin": "https://example.org"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text(f"# of the shop\n{ONE}\n\n{OTHER}\n")
    return path


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anyone:{key}".encode()).decode()}


def post(client: TestClient, **headers: str) -> int:
    return client.post("/translate", content=encoded(pixels()), headers=headers).status_code


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LOCALHOST", "localhost.", "[::1]:8000", "192.168.1.5", "translate:8000"],
)
def test_addresses_and_plain_names_are_its_own(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", "localhost@evil.example", "[::1].evil.example", "", "a b"],
)
def test_foreign_hosts_are_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/models", "/healthz"):
        response = client.get(path, headers={"Host": host})
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["x-request-id"]
    assert post(client, Host=host) == 400
    assert 'translate_rejected_total{reason="host"} 1.0' in client.get("/metrics").text


def test_hosts_of_its_own(serve: Serve) -> None:
    client = serve(hosts="photos.example.org, .inner.example")
    for host, status in {
        "photos.example.org": 200,
        "PHOTOS.example.org:443": 200,
        "a.inner.example": 200,
        "inner.example": 400,
        "xinner.example": 400,
        "example.org": 400,
        "old-photos.example.org": 400,
    }.items():
        assert client.get("/healthz", headers={"Host": host}).status_code == status, host
    assert serve(hosts="*").get("/healthz", headers={"Host": "evil.example"}).status_code == 200


def test_other_sites_may_not_read(client: TestClient) -> None:
    asked = {**FOREIGN, "Access-Control-Request-Method": "POST"}
    for response in (
        client.post("/translate", content=encoded(pixels()), headers=FOREIGN),
        client.options("/translate", headers=asked),
        client.get("/models", headers=FOREIGN),
    ):
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_other_sites_that_may(serve: Serve) -> None:
    client = serve(origins="https://example.org")
    response = client.post("/translate", content=encoded(pixels()), headers=FOREIGN)
    assert response.headers["access-control-allow-origin"] == "https://example.org"
    assert "X-Translate-Seed" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in response.headers
    told = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert client.options("/translate", headers=FOREIGN | told).status_code == 200
    other = client.get("/models", headers={"Origin": "https://example.com"})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("origins", ["example.org", "https://example.org/page", "ftp://example.org"])
def test_what_is_no_origin(origins: str) -> None:
    with pytest.raises(ValidationError, match="no origin"):
        Settings(origins=origins)


def test_no_address_in_a_request_is_fetched(client: TestClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        address = f"http://127.0.0.1:{trap.getsockname()[1]}/x.png"
        assert client.post(f"/translate?url={address}").status_code == 400
        assert client.post("/translate", data={"url": address}).status_code == 415
        assert client.post("/translate", data={"file": address}, files={"x": b""}).status_code == 400
        assert client.post("/translate", json={"url": address}).status_code == 415
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}"/></svg>'.encode()
        assert client.post("/translate", content=svg).status_code == 415
        with pytest.raises(TimeoutError):
            trap.accept()


def test_without_a_key_nothing_but_the_page_and_health(serve: Serve, keys: Path) -> None:
    client = serve(keys=keys)
    for path in ("/models", "/models/restore", "/metrics"):
        response = client.get(path)
        assert response.status_code == 401, path
        assert response.headers["content-type"] == "application/problem+json"
        assert re.fullmatch(r'Basic realm="[^"]+", charset="UTF-8"', response.headers["www-authenticate"])
        assert client.get(path, headers=bearer(ONE)).status_code == 200
    assert post(client) == 401
    for path in ("/", "/docs", "/ui/app.js", "/healthz"):
        assert client.get(path).status_code == 200
    assert 'translate_rejected_total{reason="key"} 1.0' in client.get("/metrics", headers=bearer(ONE)).text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (bearer(ONE), 200),
        (bearer(OTHER), 200),
        ({"X-API-Key": ONE}, 200),
        (basic(OTHER), 200),
        (basic(OTHER) | {"Sec-Fetch-Site": "same-origin"}, 200),
        (basic(OTHER) | {"Sec-Fetch-Site": "cross-site"}, 401),
        (bearer(ONE[:-1]), 401),
        (bearer(ONE + "x"), 401),
        (bearer(""), 401),
        (bearer("# of the shop"), 401),
        ({"Authorization": "Basic !"}, 401),
        ({"Authorization": "Basic /w=="}, 401),
        ({"Authorization": ONE}, 401),
    ],
)
def test_keys(serve: Serve, keys: Path, headers: dict[str, str], status: int) -> None:
    assert post(serve(keys=keys), **headers) == status


def test_every_key_is_compared_in_constant_time(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(access.hmac, "compare_digest", lambda *pair: compared.append(pair) or pair[0] == pair[1])
    assert Keys(keys).holder(ONE)
    assert len(compared) == 2
    assert hmac is access.hmac


def test_keys_are_rotated_by_their_file(serve: Serve, keys: Path) -> None:
    client = serve(keys=keys)

    def write(text: str) -> None:
        keys.with_suffix(".new").write_text(text)
        os.replace(keys.with_suffix(".new"), keys)

    write(f"{ONE}-new\n{OTHER}\n")
    assert [post(client, **bearer(key)) for key in (ONE, f"{ONE}-new", OTHER)] == [401, 200, 200]
    for mistake in ("short\n", "", "\n \n"):  # those from before stay
        write(mistake)
        assert post(client, **bearer(OTHER)) == 200
    keys.unlink()
    assert post(client, **bearer(OTHER)) == 200
    write("# nobody\n")
    assert post(client, **bearer(OTHER)) == 401


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "short\n", "with a space in the middle\n", "\xff" * 20])
def test_a_file_without_keys_ends_the_start(keys: Path, text: str | None) -> None:
    if text is None:
        keys.unlink()
    else:
        keys.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"keys\.txt"):
        Keys(keys)


def test_rate_of_each_key(serve: Serve, keys: Path) -> None:
    client = serve(keys=keys, rate="2/hour")
    assert [post(client, **bearer(ONE)) for _ in range(3)] == [200, 200, 429]
    assert post(client, **bearer(OTHER)) == 200
    response = client.post("/translate", content=encoded(pixels()), headers=bearer(ONE))
    assert response.headers["content-type"] == "application/problem+json"
    assert 3000 < int(response.headers["retry-after"]) <= 3600
    assert client.get("/models", headers=bearer(ONE)).status_code == 200
    assert 'translate_rejected_total{reason="rate"} 2.0' in client.get("/metrics", headers=bearer(ONE)).text
    assert [post(client) for _ in range(3)] == [401] * 3


def test_rate_of_each_address(serve: Serve) -> None:
    client = serve(rate="1 per hour")
    assert [post(client) for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("203.0.113.3", "203.0.113.4", False),
        ("::ffff:203.0.113.3", "::ffff:203.0.113.4", False),
        ("::ffff:203.0.113.3", "203.0.113.3", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_whose_rate_it_is(one: str, other: str, together: bool) -> None:
    one, other = (access._network(Request({"type": "http", "client": (each, 1)})) for each in (one, other))
    assert (one == other) is together


def test_what_is_no_rate() -> None:
    with pytest.raises(ValidationError, match="rate"):
        Settings(rate="often")


# Mutants tried: hosts compared by their end; any() over the keys; a mistake in the file lets everybody out.
