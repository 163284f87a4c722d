"""Waiting for what should come, with a deadline that measures nothing."""

import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds


def wait_for(
    condition: Callable[[], object],
    state: Callable[[], object] = lambda: "",
    meanwhile: Callable[[], object] = lambda: time.sleep(0.01),
) -> None:
    """Wait until the condition holds; ``state`` tells what there is instead if it never does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE} s: {state()}"
        meanwhile()
