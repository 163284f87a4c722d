"""What this process has read a moment ago: a burst of requests need not read it each time."""

import time
from collections.abc import Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
SECONDS = 2.0  # for which a value counts as recent; a change elsewhere is noticed so much later
MOST = 1_000  # values of one kind

_all: WeakSet[Any] = WeakSet()


class Recent(Generic[K, V]):
    """Values by key, each for ``SECONDS`` at most."""

    def __init__(self) -> None:
        self._values: dict[K, tuple[float, V]] = {}
        _all.add(self)

    def get(self, key: K) -> V | None:
        """Return the value, if there is a recent one."""
        expires, value = self._values.get(key, (0.0, None))
        return value if time.monotonic() < expires else None

    def keep(self, key: K, value: V, seconds: float = SECONDS) -> None:
        """Remember a value, for ``seconds`` if it is valid for less."""
        if len(self._values) >= MOST:
            self._values.clear()
        self._values[key] = (time.monotonic() + min(seconds, SECONDS), value)

    def forget(self) -> None:
        """Forget all values."""
        self._values.clear()


def forget_all() -> None:
    """Forget what all of these hold, as a process that has just started."""
    for each in list(_all):
        each.forget()
