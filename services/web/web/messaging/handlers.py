"""Who in web cares about the results of which task."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Model, QuerySet

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

    def errors(self, task_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Say of the rows that have failed with what, in words for an operator."""

    def unfinished(self) -> QuerySet[Any]:
        """Select the rows whose tasks have no answer yet: each has to be somewhere."""

    def publish_again(self, task_ids: Sequence[UUID]) -> None:
        """Set rows, which the caller has locked, back to queued, and store their messages anew.

        Those whose message cannot be made any more fail.
        """

    def give_up(self, task_ids: Sequence[UUID], reason: str) -> None:
        """Let rows, which the caller has locked, fail because their messages got lost."""


_handlers: dict[str, Handler] = {}


def register(task: str, handler: Handler) -> None:
    """Let ``handler`` have the results of ``task``."""
    _handlers[task] = handler


def find(task: str) -> Handler | None:
    """Return the handler of ``task``, or None if no app sends it."""
    return _handlers.get(task)


def registered() -> Mapping[str, Handler]:
    """Return all handlers by their tasks."""
    return _handlers
