"""Ends conversations with a peer that stays connected but never finishes."""

import socket
import threading
import time
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
    key = _watch.add(time.monotonic() + seconds, line)
    try:
        yield
    finally:
        _watch.remove(key)


class Watch:
    """One thread that looks after all deadlines: a timer for each would cost a thread for each."""

    def __init__(self) -> None:
        self._lines: dict[int, tuple[float, socket.socket]] = {}
        self._changed = threading.Condition()
        self._last_key = 0
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None

    def add(self, end: float, line: socket.socket) -> int:
        """Cut a line at a time, unless it is removed; returns the key to remove it by."""
        with self._changed:
            self._last_key += 1
            self._lines[self._last_key] = end, line
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif end < self._wakes_at:
                self._changed.notify()
            return self._last_key

    def remove(self, key: int) -> None:
        """Forget a line. It is not cut after that."""
        with self._changed:
            self._lines.pop(key, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for key, (end, line) in list(self._lines.items()):
                    if end <= now:
                        del self._lines[key]
                        with suppress(OSError):  # closed by now
                            line.shutdown(socket.SHUT_RDWR)
                ends = [end for end, _ in self._lines.values()]
                self._wakes_at = min(ends, default=float("inf"))
                self._changed.wait(self._wakes_at - now if ends else None)


_watch = Watch()
