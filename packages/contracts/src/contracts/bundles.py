"""Several small messages in one: tasks on their way to a worker, and answers on their way home.

A message costs the broker, and each process that it passes, far more than a small task does.
"""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from contracts.events import ANSWERS_SUFFIX, TaskEvent
from contracts.headers import Moment
from contracts.tasks import Payload, TaskContract

MOST_MEMBERS = 50


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One task of a bundle, with what a message of its own would say of it."""

    id: UUID
    arguments: dict[str, Any]
    request_id: str | None = None
    accepted_at: Moment | None = None


class Bundle(Payload, frozen=True, kw_only=True):
    """Run ``task`` for each member, one after the other. Each is answered by itself.

    A member that cannot be run as usual is returned unanswered; web then sends it alone.
    """

    task: str
    members: Annotated[list[Member], msgspec.Meta(min_length=1, max_length=MOST_MEMBERS)]


def bundle_of(service: str) -> TaskContract[Bundle]:
    """Return the contract of a service's bundles."""
    return TaskContract(f"{service}.bundle", Bundle, frozenset())


class Enclosed(msgspec.Struct, frozen=True, array_like=True):
    """One message of several in one: its routing key and its body, as it would be sent alone."""

    routing_key: str
    body: msgspec.Raw

    @classmethod
    def of(cls, event: TaskEvent) -> "Enclosed":
        """Enclose an event."""
        return cls(event.routing_key, msgspec.Raw(msgspec.json.encode(event)))


Answers = Annotated[list[Enclosed], msgspec.Meta(min_length=1, max_length=MOST_MEMBERS)]


def answers_key(service: str) -> str:
    """Return the routing key of messages with several answers."""
    return f"{service}{ANSWERS_SUFFIX}"
