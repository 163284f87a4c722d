"""What the workers of web's own tasks send home: more than a contract needs, as Celery knows it."""

import json
from collections import deque

import msgspec

from contracts.results import TaskEvent
from web.parsing import levels
from web.tasks.messages import StoredMessage
from web.tasks.models import SERVICE


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A retry: the message to be sent, in so many seconds.

    It travels with the event, for what a run stores in its own transaction goes with that.
    """

    message: StoredMessage
    seconds: float


class WebTaskEvent(TaskEvent, frozen=True, kw_only=True):
    """One state of one run of a task of web's.

    ``result``, ``children``, ``exception`` and ``meta`` are texts: JSON as kombu makes it, which
    has a form for times, decimals and UUIDs, and is not decoded on the way to its row.
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
        """One for all of them."""
        return SERVICE

    @property
    def routing_key(self) -> str:
        """Service, task and state: names of tasks begin with those of apps."""
        return f"{SERVICE}.{super().routing_key}"


def check_depth(document: bytes | str) -> None:
    """Raise RecursionError for JSON that is nested too deeply to be read wherever it is needed."""
    deque(levels(json.loads(document)), maxlen=0)
