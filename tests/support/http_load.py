"""Requests at a fixed concurrency, from one thread that costs little beside what it measures."""

import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

TIMEOUT = 60.0  # seconds without any answer after which a run has failed
END_OF_HEADERS = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass
class Answered:
    """What came of a number of equal requests."""

    seconds: float = 0.0  # from the first request to the last answer
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)  # seconds, of each request

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return len(self.latencies) / self.seconds


def request(
    method: str, path: str, port: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """Write a request as it goes over the wire."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
        *([f"Content-Length: {len(body)}"] if body else []),
    ]
    return "\r\n".join(lines).encode() + END_OF_HEADERS + body


def send(port: int, requests: Iterator[bytes], concurrency: int) -> Answered:
    """Send each request on one of some connections, which stay open; wait for all answers.

    A connection that the server has closed between two requests is opened anew.
    """
    answered = Answered()
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        began = time.perf_counter()
        lines = [stack.enter_context(closing(_Line(port, selector))) for _ in range(concurrency)]
        for line in lines:
            line.ask(next(requests, None))
        while selector.get_map():
            ready = selector.select(TIMEOUT)
            if not ready:
                raise TimeoutError(f"no answer in {TIMEOUT:.0f} s; so far {answered.statuses}")
            for key, _ in ready:
                line = key.data
                if line.hear(answered):
                    line.ask(next(requests, None))
        answered.seconds = time.perf_counter() - began
    return answered


class _Line:
    """One connection, with at most one request under way."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self._port = port
        self._selector = selector
        self._heard = b""
        self._asked = b""
        self._at = 0.0
        self._connect()

    def ask(self, asked: bytes | None) -> None:
        """Send a request; if there is none left, listen no more, as the server may close now."""
        if asked is None:
            self._selector.unregister(self._socket)
            return
        self._asked, self._heard, self._at = asked, b"", time.perf_counter()
        try:
            self._socket.sendall(asked)
        except ConnectionError:
            self._send_anew()

    def hear(self, answered: Answered) -> bool:
        """Read what has come; True if that is the whole answer."""
        try:
            come = self._socket.recv(65536)
        except ConnectionError:
            come = b""
        if not come:
            self._send_anew()
            return False
        self._heard += come
        head, end, body = self._heard.partition(END_OF_HEADERS)
        if not end or len(body) < _length(head):
            return False
        answered.statuses[int(head.split(b" ", 2)[1])] += 1
        answered.latencies.append(time.perf_counter() - self._at)
        return True

    def close(self) -> None:
        self._socket.close()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(self._socket, selectors.EVENT_READ, self)

    def _send_anew(self) -> None:
        if self._heard:
            raise ConnectionError(f"the server closed after {self._heard[:200]!r}")
        self._selector.unregister(self._socket)
        self.close()
        self._connect()
        self._socket.sendall(self._asked)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(LENGTH):
            return int(line.removeprefix(LENGTH))
    raise ValueError(f"an answer without its length: {head!r}")
