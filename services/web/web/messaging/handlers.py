"""Who in web cares about the results of which task."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from contracts.results import TaskEvent


class Handler(Protocol):
    """What an app registers for a task that it sends."""

    def apply(self, events: Sequence[TaskEvent]) -> None:
        """Bring rows up to date, inside of the collector's transaction.

        ``events`` are all of one batch, in any order, with duplicates, of known and unknown rows.
        """

    def replay(self, task_id: UUID) -> int | None:
        """Set a row back to queued and return the number of its runs so far.

        None means that it is not to be run again, because it is gone or has ended well.
        """


_handlers: dict[str, Handler] = {}


def register(task: str, handler: Handler) -> None:
    """Let ``handler`` have the results of ``task``."""
    _handlers[task] = handler


def find(task: str) -> Handler | None:
    """Return the handler of ``task``, or None if no app sends it."""
    return _handlers.get(task)
