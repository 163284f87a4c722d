"""JSON documents, level by level."""

from collections.abc import Iterable, Iterator
from typing import Any

DEEPEST = 100  # levels


def levels(document: Any) -> Iterator[list[Any]]:
    """Yield the values of a JSON document level by level.

    Raises RecursionError if it is nested more deeply than ``DEEPEST``. Programs that read it later
    may have less room on their stack.
    """
    level = [document]
    for _ in range(DEEPEST + 1):
        yield level
        containers = [value for value in level if type(value) in (dict, list)]
        if not containers:
            return
        level = [entry for value in containers for entry in _entries(value)]
    raise RecursionError("nested too deeply")


def _entries(container: Any) -> Iterable[Any]:
    return container.values() if type(container) is dict else container
