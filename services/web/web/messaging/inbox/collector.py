"""The collector: results and dead letters → PostgreSQL, in batches.

A message that arrives twice has the effect of one.
"""

import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

import msgspec
import structlog
from django.db import connection as database
from django.db import transaction

from contracts import topology
from contracts.errors import MalformedMessageError
from contracts.events import TaskError, TaskEvent, TaskState, WorkerReport
from runtime.liveness import LivenessFile
from runtime.text import describe
from web.messaging.broker.arrivals import Arrival, Kind
from web.messaging.broker.connection import connected
from web.messaging.inbox import announcements, bundles, unrouted, workers
from web.messaging.inbox.inbox import Inbox
from web.messaging.letters import dead_letters, making
from web.messaging.models import DeadLetter
from web.messaging.processes.lifecycle import StopSignal, is_outage
from web.tracking import registry

log = structlog.get_logger("web.collector")
REFUSED = "its header x-death is none of RabbitMQ's, which could not have dead-lettered it"
OTHER_KEY = "its routing key is not the one that belongs to what its body says"
OTHER_EXCHANGE = "it came through the exchange of another service than its routing key names"


Announced = Callable[[], None]
Content = TaskEvent | list[TaskEvent] | DeadLetter | WorkerReport | Announced


@dataclass(frozen=True)
class Read:
    """An arrival with its decoded content.

    It is decoded only once. Whether a body is nested too deeply depends on the depth of the
    caller's stack, so that a second attempt might end differently.
    """

    arrival: Arrival
    content: Content


def collect(stop: StopSignal, liveness: LivenessFile) -> None:
    """Take results and dead letters until told to stop.

    Raises one of BROKER_ERRORS or DATABASE_ERRORS; unacknowledged messages are delivered again.
    """
    database.ensure_connection()  # first: without it messages would only go back to their queue
    with connected(topology.OF_COLLECTOR) as connection:
        inbox = Inbox(connection)
        log.info("collector connected")
        while not stop:
            liveness.touch()
            arrivals = inbox.receive()
            connection.heartbeat_check()  # only now: unread bytes do not count as a heartbeat
            if arrivals:
                apply(arrivals, inbox.acknowledge)


def apply(
    arrivals: Sequence[Arrival], applied: Callable[[Arrival], object] = lambda _: None
) -> None:
    """Bring the database up to date with a batch, in one transaction.

    A message that cannot be applied becomes a dead letter and does not stop the others. ``applied``
    is called with the last whole message of each part of the batch that is stored.
    """
    _apply([Read(arrival, _content(arrival)) for arrival in arrivals], applied)


def _apply(batch: Sequence[Read], applied: Callable[[Arrival], object]) -> None:
    try:
        _write([read.content for read in batch])
    except Exception as error:
        if is_outage(error):
            raise
        if len(batch) > 1:
            middle = len(batch) // 2
            _apply(batch[:middle], applied)
            _apply(batch[middle:], applied)
            return
        _refuse(batch[0], error)
    if whole := [read.arrival for read in batch if read.arrival.is_whole]:
        applied(whole[-1])


def _refuse(read: Read, error: Exception) -> None:
    """Make a dead letter of a message that cannot be applied.

    Only ``describe`` of the error is kept: its text may hold secrets.
    """
    detail = describe(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    at = f"{place.filename}:{place.lineno}"
    log.error("message refused", routing_key=read.arrival.routing_key, error=detail, at=at)
    try:
        _bury(read, detail)
    except Exception as second:
        if is_outage(second):
            raise
        log.error("nobody can be told", error=type(second).__name__)
        making.unreadable(read.arrival, detail).save()


@transaction.atomic
def _bury(read: Read, detail: str) -> None:
    """Store a dead letter, and fail the task of which the message is an event."""
    dead_letters.store([making.malformed(read.arrival, detail)])
    event = read.content
    if isinstance(event, TaskEvent) and (engine := registry.find(event.kind)):
        error = TaskError("ResultNotStorable", "the database refuses the result")
        failed = msgspec.structs.replace(
            event, state=TaskState.FAILURE, result=None, progress=None, error=error
        )
        engine.apply([failed])


@transaction.atomic
def _write(batch: Sequence[Content]) -> None:
    for each in batch:
        if callable(each):
            each()
    workers.record(each for each in batch if isinstance(each, WorkerReport))
    letters = unrouted.take_back([each for each in batch if isinstance(each, DeadLetter)])
    dead_letters.store(letters)
    events = [each for each in batch if isinstance(each, TaskEvent)]
    events += chain.from_iterable(each for each in batch if isinstance(each, list))
    events += filter(None, map(dead_letters.event_of, letters))
    by_kind = defaultdict(list)
    for event in events:
        by_kind[event.kind].append(event)
    # Always in the same order: each kind locks rows, and two collectors must not deadlock.
    for kind, of_kind in sorted(by_kind.items()):
        engine = registry.find(kind)
        if engine:
            engine.apply(of_kind)
    if failed := [event for event in events if event.error]:
        dead_letters.explain(UUID(event.task_id) for event in failed)


def _content(arrival: Arrival) -> Content:
    """Decode a message. No error of one message may end its batch or the collector."""
    try:
        return _decoded(arrival)
    except Exception as error:  # noqa: BLE001 -- the message may hold anything
        detail = describe(error)
        log.error("cannot be decoded", routing_key=arrival.routing_key, error=detail)
        return making.unreadable(arrival, detail)


def _decoded(arrival: Arrival) -> Content:
    """Decode a message by its routing key, which has to agree with its exchange and its body.

    The broker's permissions hold each service to its own exchange. Routing key and body are checked
    only here.
    """
    if arrival.kind == Kind.DEAD:
        return bundles.returned(arrival) or making.of_arrival(arrival)
    try:
        if not arrival.is_from_its_service:
            raise MalformedMessageError(OTHER_EXCHANGE)
        match arrival.kind:
            case Kind.REPORT:
                return _report(arrival)
            case Kind.REFUSED:
                return making.malformed(arrival, REFUSED)
            case _:
                return _announced(arrival) or _event(arrival)
    except (*making.UNDECODABLE, ValueError) as error:
        return making.malformed(arrival, str(error))


def _announced(arrival: Arrival) -> Announced | None:
    return announcements.decoded(arrival.routing_key, arrival.body)


def _event(arrival: Arrival) -> TaskEvent:
    event = msgspec.json.decode(arrival.body, type=registry.form_of_events(arrival.service))
    UUID(event.task_id)  # raises ValueError; web's ids are always UUIDs
    if event.routing_key != arrival.routing_key:
        raise MalformedMessageError(OTHER_KEY)
    return event


def _report(arrival: Arrival) -> WorkerReport:
    report = msgspec.json.decode(arrival.body, type=WorkerReport)
    for task_id in report.holding:
        UUID(task_id)
    named = report.worker.startswith(f"{report.service}-")
    if report.routing_key != arrival.routing_key or not named:
        raise MalformedMessageError(OTHER_KEY)
    return report
