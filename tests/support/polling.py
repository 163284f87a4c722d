"""Waiting for what is going to happen, with a deadline and an explanation."""

import time
from collections.abc import Callable
from typing import Any, TypeVar, overload

DEADLINE = 60.0  # seconds; far more than anything takes, for the machine may be busy
PAUSE = 0.05  # seconds between two looks

T = TypeVar("T")


def pause() -> None:
    """Let a moment pass."""
    time.sleep(PAUSE)


@overload
def poll(
    look: Callable[[], T | None],
    *,
    what: str,
    explain: Callable[[], object] = ...,
    deadline: float = ...,
    meanwhile: Callable[[], object] = ...,
) -> T: ...
@overload
def poll(
    look: Callable[[], T],
    wanted: Callable[[T], object],
    *,
    what: str,
    explain: Callable[[], object] = ...,
    deadline: float = ...,
    meanwhile: Callable[[], object] = ...,
) -> T: ...
def poll(
    look: Callable[[], Any],
    wanted: Callable[[Any], object] = bool,
    *,
    what: str,
    explain: Callable[[], object] = str,
    deadline: float = DEADLINE,
    meanwhile: Callable[[], object] = pause,
) -> Any:
    """Look again and again until what is seen is ``wanted``, and return it.

    Args:
        look: what to look at.
        wanted: whether it is what is waited for.
        what: is being waited for, for the message.
        explain: tells more when it never comes, such as the ends of the logs.
        deadline: seconds.
        meanwhile: is done between two looks.
    """
    end = time.monotonic() + deadline
    while not wanted(seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {deadline:.0f} s; last: {seen!r}\n{explain()}")
        meanwhile()
    return seen
