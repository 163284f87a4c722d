"""What a worker's main process and a process of its pool share of each bundle."""

import mmap
import time
from collections import deque
from collections.abc import Iterator
from weakref import finalize

MOST_PLACES = 4096  # bundles that one worker may hold
SIZE = 64  # bytes: a double, the number of the running member, and a byte for each member
RUNNING, MEMBERS = 8, 9  # offsets
OPEN, TAKEN, ANSWERED = 0, 1, 2  # states of a member

_memory = mmap.mmap(-1, MOST_PLACES * SIZE)  # made before the pool's processes are forked
_bytes = memoryview(_memory)
_times = memoryview(_memory).cast("d")
# The one that was given back last is taken last: a process that was killed may still write to it.
_free = deque(range(MOST_PLACES))


class Place:
    """A part of shared memory: which member runs since when, and what has become of each.

    A member is OPEN, TAKEN by the main process, which answers for it, or ANSWERED by the process
    that runs the bundle. There is no lock between the two. If both act on a member at the same
    moment, it is answered twice, as any message may be.
    """

    def __init__(self, number: int) -> None:
        """Look at a place that another process has taken."""
        self.number = number
        self._start = number * SIZE

    @classmethod
    def take(cls) -> "Place":
        """Take a free place, until the object is gone. Raises IndexError if there is none."""
        place = cls(_free.popleft())
        _bytes[place._start : place._start + SIZE] = bytes(SIZE)
        finalize(place, _free.append, place.number)
        return place

    def begin(self, member: int) -> None:
        """Note that a member begins."""
        _times[self._start // 8] = time.monotonic()
        _bytes[self._start + RUNNING] = member + 1

    def end(self) -> None:
        """Note that no member runs."""
        _bytes[self._start + RUNNING] = 0

    @property
    def running(self) -> int | None:
        """The member that runs, if one does."""
        return _bytes[self._start + RUNNING] - 1 if _bytes[self._start + RUNNING] else None

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - _times[self._start // 8]

    def is_open(self, member: int) -> bool:
        """Whether the member has no answer yet, and was not taken."""
        return _bytes[self._start + MEMBERS + member] == OPEN

    def open(self, number: int) -> Iterator[int]:
        """Find those of the first ``number`` members that are open."""
        return filter(self.is_open, range(number))

    def set(self, member: int, state: int) -> None:
        """Note what has become of a member."""
        _bytes[self._start + MEMBERS + member] = state
