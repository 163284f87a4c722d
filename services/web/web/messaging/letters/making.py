"""Making dead letters of messages. None is saved here."""

import hashlib
import json
from typing import Any
from uuid import UUID, uuid4

import msgspec

from contracts import topology
from contracts.errors import MalformedMessageError
from contracts.events import REFUSED_SUFFIX
from contracts.tasks import TASKS
from runtime import wire
from runtime.text import storable_text
from web.messaging.broker.arrivals import Arrival, Kind
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.reasons import Reason
from web.postgresql.storable import storable_json

# The detail until the worker's error arrives, which takes another queue than the message.
UNKNOWN_ERROR = "its task ended with an error that is no answer; the worker's log names it"
# Errors of decoding a body; RecursionError if it is nested too deeply.
UNDECODABLE = (msgspec.DecodeError, MalformedMessageError, UnicodeDecodeError, RecursionError)
DELIVERY_COUNT = "x-delivery-count"
COUNTED = {DELIVERY_COUNT, "x-acquired-count"}  # grow with each delivery
LONGEST_DETAIL = 1000  # characters
LONGEST_TASK = 200  # characters of a task's name


def of_arrival(arrival: Arrival) -> DeadLetter:
    """Make a dead letter of a dead message, with its task and the reason why it died."""
    death = arrival.death
    reason, detail = _diagnose(arrival)
    # The headers of a result do not tell its task: its worker may have made them of anything.
    is_result = death.get("queue") == topology.WEB_RESULTS.name
    letter = DeadLetter(
        fingerprint=_fingerprint(arrival),
        reason=storable_text(reason, 40),
        detail=storable_text(detail, LONGEST_DETAIL),
        task=_task(arrival.headers),
        task_id=None if is_result else _task_id(arrival.headers),
        queue=storable_text(death.get("queue", "")),
        exchange=storable_text(death.get("exchange", arrival.exchange)),
        routing_key=storable_text(arrival.routing_key),
        headers=storable_json(arrival.headers),
        properties=storable_json(arrival.properties),
        body=arrival.body,
    )
    # Messages of the outbox need no such mark: their ``outbox_id`` tells equal ones apart.
    letter.is_new = not arrival.redelivered and "outbox_id" not in arrival.headers
    return letter


def malformed(arrival: Arrival, detail: str) -> DeadLetter:
    """Make a dead letter of a message that cannot be used; ``detail`` says why not."""
    letter = of_arrival(arrival)
    letter.reason, letter.detail = Reason.MALFORMED, storable_text(detail, LONGEST_DETAIL)
    if arrival.kind != Kind.DEAD:
        letter.queue = topology.WEB_RESULTS.name
        service = arrival.routing_key.removesuffix(REFUSED_SUFFIX)
        # A service must not name another service's task in its headers.
        if not (arrival.is_from_its_service and letter.task.startswith(f"{service}.")):
            letter.task_id = None
    return letter


def unreadable(arrival: Arrival, detail: str) -> DeadLetter:
    """Make a dead letter of a message whose headers cannot be used either."""
    return DeadLetter(
        fingerprint=uuid4().hex,
        reason=Reason.MALFORMED,
        detail=storable_text(detail, LONGEST_DETAIL),
        queue="" if arrival.kind == Kind.DEAD else topology.WEB_RESULTS.name,
        exchange=storable_text(arrival.exchange),
        routing_key=storable_text(arrival.routing_key),
        headers={},
        properties={},
        body=arrival.body,
    )


def of_outbox(message: OutboxMessage, reason: Reason, detail: str) -> DeadLetter:
    """Make a dead letter of an outbox message that can never be published."""
    return DeadLetter(
        fingerprint=hashlib.sha256(f"outbox {message.pk}".encode()).hexdigest(),
        reason=reason,
        detail=storable_text(detail, LONGEST_DETAIL),
        task=_task(message.headers),
        task_id=message.task_id,
        exchange=message.exchange,
        routing_key=message.routing_key,
        headers=message.headers,
        properties=message.properties,
        body=bytes(message.body),
    )


def unmade(task: str, task_id: UUID, detail: str) -> DeadLetter:
    """Make a dead letter for a task of whose row no message can be made."""
    return DeadLetter(
        fingerprint=uuid4().hex,
        reason=Reason.UNMADE,
        detail=storable_text(detail, LONGEST_DETAIL),
        task=task,
        task_id=task_id,
        exchange=topology.TASKS.name,
        routing_key=task,
        headers={"task": task, "id": str(task_id)},
        properties={},
        body=b"",
    )


def _diagnose(arrival: Arrival) -> tuple[str, str]:
    """Return reason and detail of a death, without a value from the message's body."""
    if wire.UNREADABLE in arrival.headers:
        problem = storable_text(arrival.headers[wire.UNREADABLE], 40)
        return Reason.MALFORMED, f"its properties cannot be read: {problem}"
    if arrival.exchange == topology.TASKS.name:  # by way of its alternate exchange
        return Reason.UNROUTED, f"no queue is bound to {arrival.routing_key!r}"
    reason = storable_text(arrival.death.get("reason") or Reason.MISPLACED)
    if reason == Reason.CRASHED:
        runs = topology.TASK_DELIVERY_LIMIT + 1
        return reason, f"its worker died, or lost its connection, {runs} times"
    if reason not in (Reason.REJECTED, Reason.MISPLACED):
        return reason, f"RabbitMQ dropped it: {reason}"
    straight = f"it came straight to {arrival.exchange or arrival.routing_key}"
    came = "" if arrival.death else straight
    try:
        _check(arrival)
    except UNDECODABLE as error:
        return Reason.MALFORMED, f"{came}; {error}" if came else str(error)
    return reason, came or UNKNOWN_ERROR


def _check(arrival: Arrival) -> None:
    """Raise one of UNDECODABLE if a message is not a valid task message."""
    task = arrival.headers.get("task")
    arguments = msgspec.json.decode(arrival.body)
    if not isinstance(task, str) or "id" not in arrival.headers:
        raise MalformedMessageError("it is no task message: the headers task and id are missing")
    own = arrival.routing_key.startswith(f"{topology.WEB_TASKS}.")
    if not own and task not in TASKS:
        raise MalformedMessageError(f"there is no task {task[:100]!r}")
    if _task_id(arrival.headers) is None:
        raise MalformedMessageError("the task's id is no UUID")
    if not isinstance(arguments, list) or len(arguments) != 3:
        raise MalformedMessageError("the body is not [args, kwargs, embed]")
    if not isinstance(arguments[1], dict):
        raise MalformedMessageError("the keyword arguments are not an object")
    if not own:
        TASKS[task].decode(arguments[1])


def _task(headers: dict[str, Any]) -> str:
    return storable_text(headers.get("task") or "", LONGEST_TASK)


def _task_id(headers: dict[str, Any]) -> UUID | None:
    try:
        return UUID(storable_text(headers.get("id")))
    except ValueError:
        return None


def _fingerprint(arrival: Arrival) -> str:
    """Digest everything that stays the same when RabbitMQ delivers the message again.

    The record of its death is included, but gives its time in whole seconds. So equal messages that
    die within one second have equal fingerprints.
    """
    headers = {name: value for name, value in arrival.headers.items() if name not in COUNTED}
    identity = [arrival.exchange, arrival.routing_key, arrival.properties, headers]
    text = json.dumps(storable_json(identity), sort_keys=True)
    return hashlib.sha256(text.encode() + arrival.body).hexdigest()
