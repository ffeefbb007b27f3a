"""What a client has already is not made again."""

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from tests.server.conftest import encoded, pixels
from translate.runtime.picture import Picture


def test_what_the_client_has_is_not_made_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(query: str = "", content: bytes = encoded(pixels()), **headers: str) -> Response:
        return client.post(f"/translate?{query}", content=content, headers=headers)

    first = ask()
    etag = first.headers["etag"]
    assert ask().headers["etag"] == etag
    monkeypatch.setattr(Picture, "open", None)
    for known in (etag, f'"other", W/{etag}'):
        again = ask(**{"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert again.headers["x-translate-model"] == "restore"
    monkeypatch.undo()
    others = [ask(query) for query in ("format=jpeg", "format=jpeg&quality=50", "amount=0.5", "model=double")]
    others.append(ask(content=encoded(pixels(9, 9))))
    assert len({etag, *(other.headers["etag"] for other in others)}) == 6
    assert ask("format=jpg").headers["etag"] == ask("format=jpeg").headers["etag"]
    assert ask("amount=0.5", **{"If-None-Match": etag}).status_code == 200


def test_noise_is_another_picture_each_time_unless_the_seed_is_told(client: TestClient) -> None:
    assert "etag" not in client.post("/translate?model=noisy", content=encoded(pixels())).headers
    told = [client.post(f"/translate?model=noisy&seed={seed}", content=encoded(pixels())).headers["etag"] for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]


# Mutants tried: the quality, or the model's file, is left out of the hash; an ETag where the seed was drawn.
