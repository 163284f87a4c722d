"""Pauses between attempts at what an outage prevents."""

import time
from collections.abc import Callable

FIRST = 0.1  # seconds
LOOK_EVERY = 0.2  # seconds between two looks at whether to go on


class Pauses:
    """None, then 0.1 s, and each pause twice as long as the one before, up to a longest."""

    def __init__(self, longest: float) -> None:
        """Begin; ``longest`` is in seconds."""
        self._longest = longest
        self._next = 0.0

    def take(self, look: Callable[[], object]) -> None:
        """Wait for the next pause, and ``look`` now and then: what it raises ends the pause."""
        end = time.monotonic() + self._next
        self._next = min(max(2 * self._next, FIRST), self._longest)
        look()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_EVERY))
            look()
