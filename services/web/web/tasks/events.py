"""Events of web's own tasks, with what Celery's API needs beyond a contract's events."""

import json
from collections import deque

import msgspec

from contracts.events import TaskEvent
from web.nesting import levels
from web.tasks.messages import StoredMessage
from web.tasks.models import SERVICE


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A retry: the message to be sent in ``seconds``.

    It travels with the event. If the run stored it itself, a rollback of the run's own transaction
    would lose it.
    """

    message: StoredMessage
    seconds: float


class WebTaskEvent(TaskEvent, frozen=True, kw_only=True):
    """One state of one run of an own task.

    ``result``, ``children``, ``exception`` and ``meta`` are texts of JSON as kombu makes it, with a
    form for times, decimals and UUIDs. They go into their row as they are.
    """

    result: str | None = None
    children: str | None = None
    exception: str | None = None
    meta: str | None = None
    traceback: str = ""
    custom_state: str = ""
    again: Again | None = None

    @property
    def kind(self) -> str:
        """The one kind of all own tasks."""
        return SERVICE

    @property
    def routing_key(self) -> str:
        """Service, task and state. Names of own tasks begin with an app, not with the service."""
        return f"{SERVICE}.{super().routing_key}"


def check_depth(document: bytes | str) -> None:
    """Raise RecursionError for JSON that is nested too deeply for any of its readers."""
    deque(levels(json.loads(document)), maxlen=0)
