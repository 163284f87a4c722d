import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, repeat
from typing import Any

import pytest

from .http_load import request, send

TIMEOUT = 10.0  # seconds


class _Server(ThreadingHTTPServer):
    """Answers every third request with 429, and closes after every fifth without saying so."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.numbers = count(1)
        self.bodies: list[bytes] = []
        self.closed = threading.Event()  # a connection, by this side

    @property
    def request_for_one(self) -> bytes:
        port = self.server_address[1]
        return request("POST", "/jobs", port, b"a body", {"Content-Type": "text/plain"})

    def answer_to(self, number: int) -> tuple[int, bool]:
        """The status, and whether the connection ends with it."""
        return (429 if number % 3 == 0 else 202), number % 5 == 0

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        super().shutdown_request(request)
        self.closed.set()


class _ClosingBeforeTheLastAnswer(_Server):
    """Answers the second request only when it has closed the connection of the first."""

    def answer_to(self, number: int) -> tuple[int, bool]:
        if number == 2:
            assert self.closed.wait(TIMEOUT)
        return 202, number == 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        status, self.close_connection = self.server.answer_to(next(self.server.numbers))
        answer = b"x" * 100_000
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@contextmanager
def _serving(server: _Server) -> Iterator[_Server]:
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_each_request_is_answered_once_also_when_the_server_closes() -> None:
    with _serving(_Server()) as server:
        port = server.server_address[1]
        answered = send(port, iter(repeat(server.request_for_one, 60)), concurrency=4)
    assert answered.statuses == {202: 40, 429: 20}
    assert len(answered.latencies) == 60
    assert answered.rate == pytest.approx(60 / answered.seconds)
    assert server.bodies == [b"a body"] * 60


def test_a_connection_with_nothing_left_to_ask_may_be_closed_while_others_wait() -> None:
    with _serving(_ClosingBeforeTheLastAnswer()) as server:
        port = server.server_address[1]
        answered = send(port, iter(repeat(server.request_for_one, 2)), concurrency=2)
    assert answered.statuses == {202: 2}
