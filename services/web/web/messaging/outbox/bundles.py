"""Small tasks are published together: up to ``BUNDLE_MOST`` of them in one message.

Only tasks that run for the first time are, and that no broker has refused yet. So a task that met
with any trouble goes alone.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from django.conf import settings

from contracts import topology
from contracts.bundles import bundle_of
from runtime.text import describe
from web.messaging.models import OutboxMessage
from web.messaging.outbox import outbox

log = structlog.get_logger("web.bundles")

MOST_SECONDS = 0.1  # that the members of a bundle are expected to take, all together
MOST_BYTES = 100_000  # of their bodies
SHOWN = 25  # ids that Flower shows
Body = tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw]


class Gathering:
    """The members of a bundle that is not full yet."""

    def __init__(self) -> None:
        self.members: list[OutboxMessage] = []
        self._seconds = 0.0
        self._bytes = 0

    def takes(self, message: OutboxMessage) -> bool:
        """Add a message if there is room."""
        seconds = self._seconds + (message.expected or 0)
        size = self._bytes + len(message.body)
        full = len(self.members) >= settings.BUNDLE_MOST
        if full or (self.members and (seconds > MOST_SECONDS or size > MOST_BYTES)):
            return False
        self.members.append(message)
        self._seconds, self._bytes = seconds, size
        return True


def gather(messages: Sequence[OutboxMessage]) -> list[OutboxMessage]:
    """Return the messages to be published: bundles of those that are small, and the others.

    ``members`` of a bundle are the rows that it stands for. It has the key of the first.
    """
    gatherings: list[Gathering] = []
    filling: dict[Any, Gathering] = {}
    for message in messages:
        kind = _kind(message)
        if kind is None or kind not in filling or not filling[kind].takes(message):
            gathering = Gathering()
            gathering.takes(message)
            gatherings.append(gathering)
            if kind:
                filling[kind] = gathering
    return list(chain.from_iterable(_published(gathering.members) for gathering in gatherings))


def _kind(message: OutboxMessage) -> tuple[str, ...] | None:
    """Return what the members of a bundle have in common; None if a message goes alone."""
    if message.expected is None or message.expected > MOST_SECONDS or message.refusals:
        return None
    return message.exchange, message.routing_key, str(message.headers.get("timelimit"))


def _published(members: list[OutboxMessage]) -> list[OutboxMessage]:
    if len(members) == 1:
        return members
    try:
        return [_bundle(members)]
    except Exception as error:  # noqa: BLE001 -- a row may hold anything; alone, it shows which one
        log.warning("no bundle can be made", error=describe(error), members=len(members))
        return members


def _bundle(members: list[OutboxMessage]) -> OutboxMessage:
    first, name = members[0], str(uuid4())
    contract = bundle_of(first.routing_key.partition(".")[0])
    hard, soft = first.headers.get("timelimit") or (None, None)
    shown = f"{{'members': [{', '.join(str(each.task_id) for each in members[:SHOWN])}]}}"
    shadow = _shadow(members)
    template = outbox.template(contract, shadow, (soft, hard) if soft else None)
    arguments = {"task": first.routing_key, "members": [_member(each) for each in members]}
    positional, _, options = template.body
    bundle = OutboxMessage(
        pk=first.pk,
        exchange=topology.TASKS.name,
        routing_key=contract.name,
        headers={**template.headers, "id": name, "root_id": name, "kwargsrepr": shown},
        properties={**template.properties, "correlation_id": name, **outbox.PROPERTIES},
        body=msgspec.json.encode((positional, arguments, options)),
        sent_event={
            **template.sent_event, "uuid": name, "root_id": name, "kwargs": shown, "name": shadow,
        },
    )  # fmt: skip
    bundle.members = members
    return bundle


def _shadow(members: list[OutboxMessage]) -> str:
    first = members[0]
    names = {message.headers.get("shadow") or message.routing_key for message in members}
    return f"{names.pop() if len(names) == 1 else first.routing_key} ×{len(members)}"


def _member(message: OutboxMessage) -> dict[str, Any]:
    _, arguments, _ = msgspec.json.decode(message.body, type=Body)
    return {
        "id": message.task_id,
        "arguments": arguments,
        "request_id": message.headers.get("request_id"),
        "accepted_at": message.headers.get("accepted_at"),
    }
