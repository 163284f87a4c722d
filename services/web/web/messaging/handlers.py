"""Who in web cares about the results of which task."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from django.db.models import Model

from contracts.results import TaskEvent


class Handler(Protocol):
    """What an app registers for a task that it sends."""

    @property
    def MODEL(self) -> type[Model]:  # noqa: N802 -- a constant of the module that implements it
        """The rows that have the ids of the tasks."""

    def apply(self, events: Sequence[TaskEvent]) -> None:
        """Bring rows up to date, inside of the collector's transaction.

        ``events`` are all of one batch, in any order, with duplicates, of known and unknown rows.
        """

    def replay(self, task_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Set rows that have failed back to queued and return the number of runs of each so far.

        Those that are not returned are not to be run again.
        """


_handlers: dict[str, Handler] = {}


def register(task: str, handler: Handler) -> None:
    """Let ``handler`` have the results of ``task``."""
    _handlers[task] = handler


def find(task: str) -> Handler | None:
    """Return the handler of ``task``, or None if no app sends it."""
    return _handlers.get(task)
