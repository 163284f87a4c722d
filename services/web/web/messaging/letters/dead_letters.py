"""Storing dead letters, and failing their tasks. See also ``web.messaging.letters.repair``."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from contracts import topology
from contracts.events import TaskError, TaskState
from runtime.text import storable_text
from web.messaging.letters import making
from web.messaging.letters.making import LONGEST_DETAIL, UNKNOWN_ERROR
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.reasons import Reason
from web.tracking import registry
from web.tracking.rules import DeadLetterEvent

MOST_RETRIES = 1_000_000  # a header with more is forged, and counts as 0


def store(letters: Sequence[DeadLetter]) -> None:
    """Save dead letters. One that was saved before, because it was delivered twice, is skipped."""
    new = [letter for letter in letters if letter.is_new]
    equal = DeadLetter.objects.filter(fingerprint__in=[letter.fingerprint for letter in new])
    known = set(equal.values_list("fingerprint", flat=True)) if new else set()
    for letter in new:
        if letter.fingerprint in known:  # another message with the same content
            letter.fingerprint = uuid4().hex
        known.add(letter.fingerprint)
    DeadLetter.objects.bulk_create(letters, ignore_conflicts=True)


def explain(task_ids: Iterable[UUID]) -> None:
    """Write the errors with which their tasks ended into rejected letters, where they are known.

    Call this after the tasks' rows were updated, and thereby locked. If one collector has the
    letter and another has the error, the second to lock the row then sees the first one's change.
    """
    waiting = DeadLetter.objects.filter(
        task_id__in=list(task_ids), reason=Reason.REJECTED, detail=UNKNOWN_ERROR
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
        if UNKNOWN_ERROR not in error:  # else the row knows only what the letter said
            letter.detail = storable_text(error, LONGEST_DETAIL) or UNKNOWN_ERROR
    DeadLetter.objects.bulk_update(letters, ["detail"])


def event_of(letter: DeadLetter) -> DeadLetterEvent | None:
    """Make the event by which a dead letter fails its task; None if web has no such task."""
    if letter.task_id is None or registry.find(letter.kind) is None:
        return None
    headers = letter.headers
    earlier = _count(headers.get("runs", headers.get("retries"))) + _deliveries(letter)
    return DeadLetterEvent(
        task_id=str(letter.task_id),
        task=letter.task,
        of=letter.kind,
        state=TaskState.FAILURE,
        attempt=earlier + 1,
        worker="",
        at=datetime.now(UTC),
        error=TaskError("DeadLetter", f"{letter.reason}: {letter.detail}"),
    )


def park(message: OutboxMessage, reason: Reason, detail: str) -> None:
    """Make a dead letter of an outbox message that can never be published, and fail its task."""
    letter = making.of_outbox(message, reason, detail)
    store([letter])
    engine, event = registry.find(letter.kind), event_of(letter)
    if engine and event:
        engine.apply([event])


def _deliveries(letter: DeadLetter) -> int:
    if letter.reason == Reason.CRASHED:
        return topology.TASK_DELIVERY_LIMIT
    return _count(letter.headers.get(making.DELIVERY_COUNT))


def _count(header: object) -> int:
    return header if isinstance(header, int) and 0 <= header <= MOST_RETRIES else 0
