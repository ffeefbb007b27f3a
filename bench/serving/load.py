"""A client in a process of its own: `python -m bench.serving.load PORT TARGET COUNT CONCURRENCY FILE…` prints JSON.

It takes a tenth of a millisecond of processor time a request, because it speaks HTTP by hand, and says how much it took.
"""

import json
import re
import resource
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock, Thread

BOUNDARY = b"----picture"


def request(target: str, picture: bytes) -> bytes:
    """A form with the picture in the field `file`, as curl -F sends it."""
    part = b'Content-Disposition: form-data; name="file"; filename="picture"\r\nContent-Type: application/octet-stream\r\n\r\n'
    body = b"--%s\r\n%s%s\r\n--%s--\r\n" % (BOUNDARY, part, picture, BOUNDARY)
    head = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n".encode()
    return head + b"Content-Type: multipart/form-data; boundary=" + BOUNDARY + b"\r\n\r\n" + body


class Client:
    """`concurrency` connections that stay open, each sending its next request once its last is answered."""

    def __init__(self, port: int, requests: list[bytes], count: int) -> None:
        self.port, self.requests = port, requests
        self.lock, self.left = Lock(), iter(range(count))
        self.answers: list[tuple[float, int, str]] = []
        """Seconds, status and Server-Timing of each."""

    def work(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in self.numbers():
                began = time.perf_counter()
                connection.sendall(self.requests[number % len(self.requests)])
                status, timing = answer(connection)
                self.answers.append((time.perf_counter() - began, status, timing))

    def numbers(self) -> Iterator[int]:
        while True:
            with self.lock:
                number = next(self.left, None)
            if number is None:
                return
            yield number


def answer(connection: socket.socket) -> tuple[int, str]:
    """Reads one answer, of which only status and Server-Timing are kept."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(1 << 18)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    assert length, head
    left, room = int(length[1]) - len(body), memoryview(bytearray(1 << 18))
    while left > 0:
        got = connection.recv_into(room)
        if not got:
            raise ConnectionError("the server closed the connection")
        left -= got
    timing = re.search(rb"(?i)\r\nserver-timing: *([^\r]*)", head)
    return int(head.split()[1]), timing[1].decode() if timing else ""


def main(port: str, target: str, count: str, concurrency: str, *files: str) -> None:
    """Prints `seconds` in all, `cpu` seconds of this process, and `answers`."""
    client = Client(int(port), [request(target, Path(file).read_bytes()) for file in files], int(count))
    threads = [Thread(target=client.work) for _ in range(int(concurrency))]
    began, used = time.perf_counter(), _cpu()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": _cpu() - used, "answers": client.answers}))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
