"""How long to wait between attempts during an outage."""

import time
from collections.abc import Callable

FIRST = 0.1  # seconds
LOOK_EVERY = 0.2  # seconds between two calls of ``look`` during a pause
MOST_DOUBLINGS = 60  # more and more of them would overflow a float


def delay(failures: int, first: float, longest: float) -> float:
    """Return the seconds to wait after so many failures: ``first``, then each time twice as long.

    They are 0 without a failure, and never more than ``longest``.
    """
    if failures < 1:
        return 0.0
    return min(longest, first * 2.0 ** min(failures - 1, MOST_DOUBLINGS))


class Pauses:
    """The pauses between attempts: none before the first, then 0.1 s, 0.2 s, up to ``longest``."""

    def __init__(self, longest: float, first: float = FIRST) -> None:
        """Begin with the first attempt; both times are in seconds."""
        self._longest, self._first = longest, first
        self._attempts = 0

    def take(self, look: Callable[[], object]) -> None:
        """Wait for the next pause, and call ``look`` meanwhile. An error from it ends the pause."""
        end = time.monotonic() + delay(self._attempts, self._first, self._longest)
        self._attempts += 1
        look()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_EVERY))
            look()
