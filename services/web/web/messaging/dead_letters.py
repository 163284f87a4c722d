"""Dead letters: what nobody could handle becomes a row. See ``web.messaging.repair``."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from contracts import topology, wire
from contracts.errors import MalformedMessageError, WarrenError
from contracts.results import TaskError, TaskState
from contracts.tasks import TASKS
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.storable import storable_json, storable_text
from web.tracking import registry
from web.tracking.rules import DeadLetterEvent

CRASHED = "delivery_limit"
UNROUTED = "unrouted"
REJECTED = "rejected"
MISPLACED = "misplaced"
MALFORMED = "malformed"
UNMADE = "unmade"
# Until the worker's own words have come, which take another queue than the message.
UNKNOWN_ERROR = "its task ended with an error that is no answer; the worker's log names it"
# What a body can do to its decoder; an endless nesting is a RecursionError.
UNDECODABLE = (msgspec.DecodeError, MalformedMessageError, UnicodeDecodeError, RecursionError)
DELIVERY_COUNT = "x-delivery-count"
COUNTED = {DELIVERY_COUNT, "x-acquired-count"}  # grow with each delivery
LONGEST_DETAIL = 1000  # characters
MOST_RETRIES = 1_000_000  # far more than there ever are: the header may be forged


@dataclass(frozen=True)
class Corpse:
    """A message as it came out of ``web.dead``.

    ``exchange`` is where it was published to last: ``warren.dead`` by a queue that gave it up.
    ``redelivered`` says that a collector may have seen it before.
    """

    headers: dict[str, Any]
    properties: dict[str, Any]
    body: bytes
    routing_key: str
    exchange: str = topology.DEAD.name
    redelivered: bool = False

    @property
    def death(self) -> dict[str, Any]:
        """RabbitMQ's record of its latest death; empty if it did not die in a queue.

        Only a message that comes through ``warren.dead`` has one that is not forged.
        Source: https://www.rabbitmq.com/docs/dlx#effects
        """
        deaths = self.headers.get("x-death")
        if self.exchange != topology.DEAD.name or not isinstance(deaths, list):
            return {}
        return next((death for death in deaths if isinstance(death, dict)), {})


def describe(corpse: Corpse) -> DeadLetter:
    """Work out what a dead message was and why it died; the row is not saved yet."""
    death = corpse.death
    reason, detail = _diagnose(corpse)
    letter = DeadLetter(
        fingerprint=_fingerprint(corpse),
        reason=storable_text(reason, 40),
        detail=storable_text(detail, LONGEST_DETAIL),
        task=_task(corpse.headers),
        # A result belongs to no task by its headers, which its worker may have made of anything.
        task_id=None
        if death.get("queue") == topology.WEB_RESULTS.name
        else _task_id(corpse.headers),
        queue=storable_text(death.get("queue", "")),
        exchange=storable_text(death.get("exchange", corpse.exchange)),
        routing_key=storable_text(corpse.routing_key),
        headers=storable_json(corpse.headers),
        properties=storable_json(corpse.properties),
        body=corpse.body,
    )
    # Each message of the outbox has a number of its own, by which equal ones can be told apart.
    letter.is_new = not corpse.redelivered and "outbox_id" not in corpse.headers
    return letter


def store(letters: Sequence[DeadLetter]) -> None:
    """Save dead letters; one that is already known, because it was delivered twice, is skipped."""
    new = [letter for letter in letters if letter.is_new]
    equal = DeadLetter.objects.filter(fingerprint__in=[letter.fingerprint for letter in new])
    known = set(equal.values_list("fingerprint", flat=True)) if new else set()
    for letter in new:
        if letter.fingerprint in known:  # another message, though it says the same
            letter.fingerprint = uuid4().hex
        known.add(letter.fingerprint)
    DeadLetter.objects.bulk_create(letters, ignore_conflicts=True)


def explain(task_ids: Iterable[UUID]) -> None:
    """Have rejected letters say with what error their tasks ended, as soon as their owners know.

    To be called after the owners' rows have been brought up to date, and so been locked: of two
    collectors, one with the letter and one with the error, the second then sees what the first did.
    """
    waiting = DeadLetter.objects.filter(
        task_id__in=list(task_ids), reason=REJECTED, detail=UNKNOWN_ERROR
    )
    letters = list(waiting.only("task", "task_id", "routing_key"))
    by_kind = defaultdict(list)
    for letter in letters:
        by_kind[letter.kind].append(letter.task_id)
    errors: dict[UUID, str] = {}
    for kind, ids in by_kind.items():
        if engine := registry.find(kind):
            errors |= engine.errors([task_id for task_id in ids if task_id])
    for letter in letters:
        error = errors.get(letter.task_id, "") if letter.task_id else ""
        if UNKNOWN_ERROR not in error:  # which is what they know from the letter
            letter.detail = storable_text(error, LONGEST_DETAIL) or UNKNOWN_ERROR
    DeadLetter.objects.bulk_update(letters, ["detail"])


def event_of(letter: DeadLetter) -> DeadLetterEvent | None:
    """Say what the death of a message means for its job or mail, if it belonged to one."""
    if letter.task_id is None or registry.find(letter.kind) is None:
        return None
    return DeadLetterEvent(
        task_id=str(letter.task_id),
        task=letter.task,
        of=letter.kind,
        state=TaskState.FAILURE,
        attempt=_count(letter.headers.get("runs", letter.headers.get("retries")))
        + _deliveries(letter)
        + 1,
        worker="",
        at=datetime.now(UTC),
        error=TaskError("DeadLetter", f"{letter.reason}: {letter.detail}"),
    )


def park(message: OutboxMessage, reason: str, detail: str) -> None:
    """Turn an outbox message that can never be published into a dead letter."""
    letter = DeadLetter(
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
    store([letter])
    engine, event = registry.find(letter.kind), event_of(letter)
    if engine and event:
        engine.apply([event])


def unmade(task: str, task_id: UUID, detail: str) -> DeadLetter:
    """Describe a message that does not exist, as its job or mail is such that none can be made."""
    return DeadLetter(
        fingerprint=uuid4().hex,
        reason=UNMADE,
        detail=storable_text(detail, LONGEST_DETAIL),
        task=task,
        task_id=task_id,
        exchange=topology.TASKS.name,
        routing_key=task,
        headers={"task": task, "id": str(task_id)},
        properties={},
        body=b"",
    )


def words(error: Exception) -> str:
    """Describe an error; the words of those that are not ours may hold a value that is secret."""
    if isinstance(error, WarrenError):
        return str(error)
    return " from ".join(type(cause).__name__ for cause in (error, error.__cause__) if cause)


def _diagnose(corpse: Corpse) -> tuple[str, str]:
    """Explain a death to an operator, without a value from the message's body."""
    if wire.UNREADABLE in corpse.headers:
        problem = storable_text(corpse.headers[wire.UNREADABLE], 40)
        return MALFORMED, f"its properties cannot be read: {problem}"
    if corpse.exchange == topology.TASKS.name:  # by way of its alternate exchange
        return UNROUTED, f"no queue is bound to {corpse.routing_key!r}"
    reason = storable_text(corpse.death.get("reason") or MISPLACED)
    if reason == CRASHED:
        return reason, f"crashed its worker {topology.TASK_DELIVERY_LIMIT + 1} times"
    if reason not in (REJECTED, MISPLACED):
        return reason, f"RabbitMQ dropped it: {reason}"
    came = "" if corpse.death else f"it came straight to {corpse.exchange or corpse.routing_key}"
    try:
        _decode(corpse)
    except UNDECODABLE as error:
        return MALFORMED, f"{came}; {error}" if came else str(error)
    return reason, came or UNKNOWN_ERROR


def _decode(corpse: Corpse) -> None:
    task = corpse.headers.get("task")
    arguments = msgspec.json.decode(corpse.body)
    if not isinstance(task, str) or "id" not in corpse.headers:
        raise MalformedMessageError("it is no task message: the headers task and id are missing")
    own = corpse.routing_key.startswith(f"{topology.WEB_TASKS}.")
    if not own and task not in TASKS:
        raise MalformedMessageError(f"there is no task {task[:100]!r}")
    if _task_id(corpse.headers) is None:
        raise MalformedMessageError("the task's id is no UUID")
    if not isinstance(arguments, list) or len(arguments) != 3:
        raise MalformedMessageError("the body is not [args, kwargs, embed]")
    if not isinstance(arguments[1], dict):
        raise MalformedMessageError("the keyword arguments are not an object")
    if not own:
        TASKS[task].decode(arguments[1])


def _deliveries(letter: DeadLetter) -> int:
    if letter.reason == CRASHED:
        return topology.TASK_DELIVERY_LIMIT
    return _count(letter.headers.get(DELIVERY_COUNT))


def _count(header: object) -> int:
    return header if isinstance(header, int) and 0 <= header <= MOST_RETRIES else 0


def _task(headers: dict[str, Any]) -> str:
    return storable_text(headers.get("task") or "", 200)


def _task_id(headers: dict[str, Any]) -> UUID | None:
    try:
        return UUID(storable_text(headers.get("id")))
    except ValueError:
        return None


def _fingerprint(corpse: Corpse) -> str:
    """Digest all that stays the same when RabbitMQ delivers the message again.

    The record of its death is a part of it, but its time has whole seconds only.
    """
    headers = {name: value for name, value in corpse.headers.items() if name not in COUNTED}
    identity = [corpse.exchange, corpse.routing_key, corpse.properties, headers]
    text = json.dumps(storable_json(identity), sort_keys=True)
    return hashlib.sha256(text.encode() + corpse.body).hexdigest()
