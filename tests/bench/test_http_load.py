import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, repeat

import pytest

from .http_load import request, send


class _Handler(BaseHTTPRequestHandler):
    """Answers every third request with 429, and closes after every fifth without saying so."""

    protocol_version = "HTTP/1.1"
    numbers = count(1)
    bodies: list[bytes] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        number = next(self.numbers)
        answer = b"x" * 100_000
        self.send_response(429 if number % 3 == 0 else 202)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = number % 5 == 0

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def _serving() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_each_request_is_answered_once_also_when_the_server_closes() -> None:
    with _serving() as port:
        one = request("POST", "/jobs", port, b"a body", {"Content-Type": "text/plain"})
        answered = send(port, iter(repeat(one, 60)), concurrency=4)
    assert answered.statuses == {202: 40, 429: 20}
    assert len(answered.latencies) == 60
    assert answered.rate == pytest.approx(60 / answered.seconds)
    assert _Handler.bodies == [b"a body"] * 60
