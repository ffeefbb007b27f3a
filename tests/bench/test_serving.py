"""The benchmark of the server: every system answers, and the table says of each what it is to say."""

import re
from pathlib import Path

import pytest

from bench.serving import load, systems
from bench.serving.__main__ import main
from tests.conftest import MakeModel
from tests.server.conftest import encoded, pixels


def test_the_loop_and_the_server_are_measured(make_model: MakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    few = {"side": 24, "megapixels": 0, "seconds": 0.01, "turns": 1, "starts": 0, "soak": 20}
    main(model=[make_model("settle")], peer=None, concurrency=[2], **few)  # type: ignore[arg-type]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines() if "settle" in line]
    cases = [["settle", "24x24", form, "2"] for form in ("jpeg", "png")]
    assert [row[:4] for row in rows] == cases + cases
    for _, _, _, _, loop, server, ratio, median, worst in rows[:2]:
        assert float(ratio) == pytest.approx(float(server) / float(loop), abs=0.02)
        assert 0 < float(median) <= float(worst)
    for row in rows[2:]:
        assert 95 < float(row[12].rstrip("%")) < 105  # Server-Timing's parts, of its total


def test_memory_is_watched(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model("identity")
    picture = tmp_path / "a.png"
    picture.write_bytes(encoded(pixels()))
    with systems.ours(model.parent, model.stem) as server:
        assert 20 < server.megabytes() < 1000
        done = server.load([picture], 6, 3)
        assert len(done.latencies) == len(done.timings) == server.sent == 6
        assert server.client > 0
        picture.write_bytes(b"no picture")
        with pytest.raises(RuntimeError, match="415"):
            server.load([picture], 1, 1)


def test_what_the_client_sends_is_one_form() -> None:
    sent = load.request("/translate?format=png", b"\x00\r\npicture")
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /translate?format=png HTTP/1.1\r\n")
    assert re.search(rb"Content-Length: (\d+)", head)[1] == b"%d" % len(body)  # type: ignore[index]
    boundary = re.search(rb"boundary=(.+)", head)[1]  # type: ignore[index]
    assert body.startswith(b"--" + boundary)
    assert body.endswith(b"\x00\r\npicture\r\n--" + boundary + b"--\r\n")
