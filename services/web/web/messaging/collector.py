"""The collector: results and dead letters → PostgreSQL, in batches, each arrival counted once."""

import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import msgspec
import structlog
from django.db import connection as database
from django.db import transaction
from kombu import Message

from contracts import topology
from contracts.liveness import LivenessFile
from contracts.results import (
    CATALOGUE_ROUTING_KEY,
    REFUSED_SUFFIX,
    REPORT_SUFFIX,
    Catalogue,
    TaskError,
    TaskEvent,
    TaskState,
    WorkerReport,
)
from web.jobs import catalogue
from web.messaging import dead_letters, handlers, unrouted, workers
from web.messaging.broker import connected
from web.messaging.dead_letters import LONGEST_DETAIL, UNDECODABLE
from web.messaging.inbox import Inbox, body_of, corpse, is_result, routing_key
from web.messaging.lifecycle import StopSignal, is_outage
from web.messaging.models import DeadLetter
from web.messaging.storable import storable_text

log = structlog.get_logger("web.collector")
REFUSED = "its header x-death is none of RabbitMQ's, which could not have dead-lettered it"


@dataclass
class Batch:
    """What arrived together, sorted by kind."""

    events: list[TaskEvent]
    letters: list[DeadLetter]
    catalogues: list[Catalogue]
    reports: list[WorkerReport]


def collect(stop: StopSignal, liveness: LivenessFile) -> None:
    """Take results and dead letters until told to stop.

    Raises one of BROKER_ERRORS or DATABASE_ERRORS; what was not acknowledged is delivered again.
    """
    database.ensure_connection()  # first: what nobody can store would only go back to its queue
    with connected() as connection:
        inbox = Inbox(connection)
        log.info("collector connected")
        while not stop:
            liveness.touch()
            messages = inbox.receive()
            connection.heartbeat_check()  # now, when all that has arrived has been read
            if messages:
                apply(messages, lambda message: message.ack(multiple=True))


def apply(
    messages: Sequence[Message], applied: Callable[[Message], object] = lambda _: None
) -> None:
    """Bring the database up to date with a batch, in one transaction.

    A message that makes this impossible becomes a dead letter of its own, so that it stops nothing
    else. ``applied`` is called with the last message of each part that is done.
    """
    try:
        _write(_sort(messages))
    except Exception as error:
        if is_outage(error):
            raise
        if len(messages) > 1:
            middle = len(messages) // 2
            apply(messages[:middle], applied)
            apply(messages[middle:], applied)
            return
        _refuse(messages[0], error)
    applied(messages[-1])


def _refuse(message: Message, error: Exception) -> None:
    """Put what cannot be applied into the dead letters; what its error says may be secret."""
    names = [type(cause).__name__ for cause in (error, error.__cause__) if cause]
    detail = " from ".join(names)
    place = traceback.extract_tb(error.__traceback__)[-1]
    at = f"{place.filename}:{place.lineno}"
    log.error("message refused", routing_key=routing_key(message), error=detail, at=at)
    try:
        _bury(message, detail)
    except Exception as second:
        if is_outage(second):
            raise
        log.error("nobody can be told", error=type(second).__name__)
        _unreadable(message, detail).save()


@transaction.atomic
def _bury(message: Message, detail: str) -> None:
    """Store a dead letter, and tell the task's owner so."""
    dead_letters.store([_unusable(message, detail)])
    for event in _sort([message]).events:
        handler = handlers.find(event.task)
        if handler:
            error = TaskError("ResultNotStorable", "the database refuses the result")
            failed = msgspec.structs.replace(
                event, state=TaskState.FAILURE, result=None, progress=None, error=error
            )
            handler.apply([failed])


@transaction.atomic
def _write(batch: Batch) -> None:
    for announced in batch.catalogues:
        catalogue.announce(announced)
    workers.record(batch.reports)
    letters = unrouted.take_back(batch.letters)
    dead_letters.store(letters)
    deaths = (dead_letters.event_of(letter) for letter in letters)
    by_task = defaultdict(list)
    for event in (*batch.events, *(event for event in deaths if event)):
        by_task[event.task].append(event)
    # Always in the same order: each locks rows, and two collectors must not wait in a circle.
    for task, events in sorted(by_task.items()):
        handler = handlers.find(task)
        if handler:
            handler.apply(events)


def _sort(messages: Sequence[Message]) -> Batch:
    batch = Batch([], [], [], [])
    for message in messages:
        try:
            if not is_result(message):
                batch.letters.append(dead_letters.describe(corpse(message)))
            elif routing_key(message) == CATALOGUE_ROUTING_KEY:
                batch.catalogues.append(msgspec.json.decode(body_of(message), type=Catalogue))
            elif routing_key(message).endswith(REPORT_SUFFIX):
                batch.reports.append(_report(message))
            elif routing_key(message).endswith(REFUSED_SUFFIX):
                batch.letters.append(_unusable(message, REFUSED))
            else:
                batch.events.append(_event(message))
        except (*UNDECODABLE, ValueError) as error:
            batch.letters.append(_unusable(message, str(error)))
    return batch


def _event(message: Message) -> TaskEvent:
    event = msgspec.json.decode(body_of(message), type=TaskEvent)
    UUID(event.task_id)  # ours always are
    return event


def _report(message: Message) -> WorkerReport:
    report = msgspec.json.decode(body_of(message), type=WorkerReport)
    for task_id in report.holding:
        UUID(task_id)
    return report


def _unusable(message: Message, detail: str) -> DeadLetter:
    letter = dead_letters.describe(corpse(message))
    letter.reason, letter.detail = dead_letters.MALFORMED, storable_text(detail, LONGEST_DETAIL)
    if is_result(message):
        letter.queue = topology.WEB_RESULTS.name
    return letter


def _unreadable(message: Message, detail: str) -> DeadLetter:
    return DeadLetter(
        fingerprint=uuid4().hex,
        reason=dead_letters.MALFORMED,
        detail=detail,
        queue=topology.WEB_RESULTS.name if is_result(message) else "",
        exchange=storable_text(message.delivery_info["exchange"]),
        routing_key=storable_text(routing_key(message)),
        headers={},
        properties={},
        body=body_of(message),
    )
