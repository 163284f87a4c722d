"""Ends conversations with a peer that stays connected but never finishes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cut_after(seconds: float, line: socket.socket) -> Iterator[None]:
    """Shut a connection down if the block takes longer. A read from it then raises an error.

    A timeout for each read is not enough: a server that sends a byte now and then never exceeds it.
    libpq has no such timeout at all.

    Args:
        seconds: from now.
        line: the connection's socket, or a duplicate of it.
    """
    timer = threading.Timer(seconds, _cut, (line,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut(line: socket.socket) -> None:
    with suppress(OSError):  # closed by now
        line.shutdown(socket.SHUT_RDWR)
