"""This process's knowledge of the database: whether it is away, and who may try it again."""

import threading
import time

PAUSE = 1.0  # seconds between two looks at a database that was away


class Outage:
    """An outage of the database, known from the first failure until any call succeeds.

    While it lasts, one caller a second may try the database; all others fail at once.
    Source: https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_look: float | None = None

    @property
    def known(self) -> bool:
        """Whether the database was away when it was last tried."""
        return self._next_look is not None

    def begin(self) -> None:
        """Remember that the database could not be reached, or did not answer."""
        with self._lock:
            self._next_look = time.monotonic() + PAUSE

    def end(self) -> None:
        """Remember that the database has answered."""
        if self.known:
            with self._lock:
                self._next_look = None

    def may_try(self) -> bool:
        """Whether the caller may try the database."""
        with self._lock:
            now = time.monotonic()
            if self._next_look is None:
                return True
            if now < self._next_look:
                return False
            self._next_look = now + PAUSE
            return True


outage = Outage()
