"""Dead letters: what nobody could handle becomes a row, and an operator replays or discards it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone

from contracts import topology
from contracts.errors import MalformedMessageError
from contracts.results import TaskError, TaskState
from contracts.tasks import TASKS
from web.messaging import handlers, outbox
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.ordering import DeadLetterEvent

CRASHED = "delivery_limit"
# Where the relay may publish; another exchange, which a forged message may name, would hold it up.
REPLAYABLE = {topology.TASKS.name, topology.RESULTS.name, ""}


class NotReplayableError(Exception):
    """The dead letter has been dealt with, or its task has ended well or is gone."""


@dataclass(frozen=True)
class Corpse:
    """A message as it came out of ``web.dead``."""

    headers: dict[str, Any]
    properties: dict[str, Any]
    body: bytes
    routing_key: str

    @property
    def deaths(self) -> list[dict[str, Any]]:
        """RabbitMQ's record of how it died, latest first.

        Source: https://www.rabbitmq.com/docs/dlx#effects
        """
        deaths = self.headers.get("x-death") or []
        return [death for death in deaths if isinstance(death, dict)]


def describe(corpse: Corpse) -> DeadLetter:
    """Work out what a dead message was and why it died; the row is not saved yet."""
    death = corpse.deaths[0] if corpse.deaths else {}
    reason, detail = _diagnose(corpse, str(death.get("reason", "unrouted")))
    headers = json.loads(json.dumps(corpse.headers, default=str))
    return DeadLetter(
        fingerprint=_fingerprint(corpse),
        reason=reason,
        detail=detail,
        task=str(corpse.headers.get("task", ""))[:200],
        task_id=_task_id(corpse.headers),
        queue=str(death.get("queue", "")),
        exchange=str(death.get("exchange", topology.TASKS.name)),
        routing_key=corpse.routing_key,
        headers=headers,
        properties=json.loads(json.dumps(corpse.properties, default=str)),
        body=corpse.body,
    )


def store(letters: Sequence[DeadLetter]) -> None:
    """Save dead letters; one that is already known, because it was delivered twice, is skipped."""
    DeadLetter.objects.bulk_create(letters, ignore_conflicts=True)


def event_of(letter: DeadLetter) -> DeadLetterEvent | None:
    """Say what the death of a message means for its job or mail, if it belonged to one."""
    if letter.task_id is None or letter.task not in TASKS:
        return None
    retries = int(letter.headers.get("retries") or 0)
    return DeadLetterEvent(
        task_id=str(letter.task_id),
        task=letter.task,
        state=TaskState.FAILURE,
        attempt=retries + _deliveries(letter) + 1,
        worker="",
        at=datetime.now(UTC),
        error=TaskError("DeadLetter", f"{letter.reason}: {letter.detail}"),
    )


def park(message: OutboxMessage, reason: str, detail: str) -> None:
    """Turn an outbox message that can never be published into a dead letter."""
    letter = DeadLetter(
        fingerprint=hashlib.sha256(f"outbox {message.pk}".encode()).hexdigest(),
        reason=reason,
        detail=detail,
        task=message.headers.get("task", ""),
        task_id=message.task_id,
        exchange=message.exchange,
        routing_key=message.routing_key,
        headers=message.headers,
        properties=message.properties,
        body=bytes(message.body),
    )
    store([letter])
    handler, event = handlers.find(letter.task), event_of(letter)
    if handler and event:
        handler.apply([event])


@transaction.atomic
def replay(letter_id: int, by: str) -> None:
    """Send a dead letter's message again, as it was, through the outbox.

    Args:
        letter_id: of a letter that waits.
        by: who decided so, for the record.

    Raises NotReplayableError.
    """
    letter = _waiting(letter_id)
    if letter.exchange not in REPLAYABLE:
        raise NotReplayableError(f"nothing of ours is published to {letter.exchange!r}")
    headers = {name: value for name, value in letter.headers.items() if not name.startswith("x-")}
    handler = handlers.find(letter.task)
    if handler and letter.task_id:
        runs = handler.replay(letter.task_id)
        if runs is None:
            raise NotReplayableError("its task has ended well, was cancelled, or is gone")
        headers["retries"] = runs  # so that the new run's results outrank the old ones
    outbox.resend(
        task_id=letter.task_id,
        exchange=letter.exchange,
        routing_key=letter.routing_key,
        headers=headers,
        properties=letter.properties,
        body=bytes(letter.body),
    )
    _close(letter, DeadLetter.State.REPLAYED, by)


@transaction.atomic
def discard(letter_id: int, by: str) -> None:
    """Give a dead letter up; it stays on record. Raises NotReplayableError if dealt with before."""
    _close(_waiting(letter_id), DeadLetter.State.DISCARDED, by)


def _waiting(letter_id: int) -> DeadLetter:
    letter = DeadLetter.objects.select_for_update().filter(pk=letter_id).first()
    if letter is None:
        raise NotReplayableError("there is no such dead letter")
    if letter.state != DeadLetter.State.WAITING:
        raise NotReplayableError(f"it has already been {letter.state}")
    return letter


def _close(letter: DeadLetter, state: DeadLetter.State, by: str) -> None:
    letter.state, letter.handled_at, letter.handled_by = state, timezone.now(), by
    letter.body = b""  # it may hold secrets, and nobody needs it any more
    letter.save(update_fields=["state", "handled_at", "handled_by", "body"])


def _diagnose(corpse: Corpse, reason: str) -> tuple[str, str]:
    """Explain a death to an operator, without a value from the message's body."""
    if reason == CRASHED:
        return reason, f"crashed its worker {topology.TASK_DELIVERY_LIMIT + 1} times"
    if reason == "unrouted":
        return reason, f"no queue is bound to {corpse.routing_key!r}"
    if reason != "rejected":
        return reason, f"RabbitMQ dropped it: {reason}"
    try:
        _decode(corpse)
    except (msgspec.DecodeError, MalformedMessageError, UnicodeDecodeError) as error:
        return "malformed", str(error)
    return reason, "its task ended with an error that is no answer; its job or mail names it"


def _decode(corpse: Corpse) -> None:
    task = corpse.headers.get("task")
    arguments = msgspec.json.decode(corpse.body)
    if not isinstance(task, str) or "id" not in corpse.headers:
        raise MalformedMessageError("it is no task message: the headers task and id are missing")
    if task not in TASKS:
        raise MalformedMessageError(f"there is no task {task[:100]!r}")
    if not isinstance(arguments, list) or len(arguments) != 3:
        raise MalformedMessageError("the body is not [args, kwargs, embed]")
    if not isinstance(arguments[1], dict):
        raise MalformedMessageError("the keyword arguments are not an object")
    TASKS[task].decode(arguments[1])


def _deliveries(letter: DeadLetter) -> int:
    if letter.reason == CRASHED:
        return topology.TASK_DELIVERY_LIMIT
    return int(letter.headers.get("x-delivery-count") or 0)


def _task_id(headers: dict[str, Any]) -> UUID | None:
    try:
        return UUID(str(headers.get("id")))
    except ValueError:
        return None


def _fingerprint(corpse: Corpse) -> str:
    death = corpse.deaths[0] if corpse.deaths else {}
    identity = [
        corpse.routing_key,
        corpse.properties.get("correlation_id"),
        death.get("queue"),
        death.get("time"),
        death.get("count"),
        corpse.headers.get("retries"),
    ]
    return hashlib.sha256(repr(identity).encode() + corpse.body).hexdigest()
