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
from contracts.errors import MalformedMessageError
from contracts.liveness import LivenessFile
from contracts.results import (
    REFUSED_SUFFIX,
    REPORT_SUFFIX,
    TaskError,
    TaskEvent,
    TaskState,
    WorkerReport,
)
from web.messaging import announcements, dead_letters, unrouted, workers
from web.messaging.broker import connected
from web.messaging.dead_letters import LONGEST_DETAIL, UNDECODABLE
from web.messaging.inbox import (
    Inbox,
    body_of,
    corpse,
    is_from_its_service,
    is_result,
    routing_key,
    service_of,
)
from web.messaging.lifecycle import StopSignal, is_outage
from web.messaging.models import DeadLetter
from web.messaging.storable import storable_text
from web.tracking import registry

log = structlog.get_logger("web.collector")
REFUSED = "its header x-death is none of RabbitMQ's, which could not have dead-lettered it"
OTHER_KEY = "its routing key is not the one that belongs to what its body says"
OTHER_EXCHANGE = "it came through the exchange of another service than its routing key names"


Announced = Callable[[], None]
Content = TaskEvent | DeadLetter | WorkerReport | Announced


@dataclass(frozen=True)
class Arrival:
    """A message and what it says: decoded once, because what is nested too deeply for the decoder
    depends on how deep its caller is."""

    message: Message
    content: Content


def collect(stop: StopSignal, liveness: LivenessFile) -> None:
    """Take results and dead letters until told to stop.

    Raises one of BROKER_ERRORS or DATABASE_ERRORS; what was not acknowledged is delivered again.
    """
    database.ensure_connection()  # first: what nobody can store would only go back to its queue
    with connected(topology.OF_COLLECTOR) as connection:
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
    _apply([Arrival(message, _content(message)) for message in messages], applied)


def _apply(arrivals: Sequence[Arrival], applied: Callable[[Message], object]) -> None:
    try:
        _write([arrival.content for arrival in arrivals])
    except Exception as error:
        if is_outage(error):
            raise
        if len(arrivals) > 1:
            middle = len(arrivals) // 2
            _apply(arrivals[:middle], applied)
            _apply(arrivals[middle:], applied)
            return
        _refuse(arrivals[0], error)
    applied(arrivals[-1].message)


def _refuse(arrival: Arrival, error: Exception) -> None:
    """Put what cannot be applied into the dead letters; what its error says may be secret."""
    detail = dead_letters.words(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    at = f"{place.filename}:{place.lineno}"
    message = arrival.message
    log.error("message refused", routing_key=routing_key(message), error=detail, at=at)
    try:
        _bury(arrival, detail)
    except Exception as second:
        if is_outage(second):
            raise
        log.error("nobody can be told", error=type(second).__name__)
        _unreadable(message, detail).save()


@transaction.atomic
def _bury(arrival: Arrival, detail: str) -> None:
    """Store a dead letter, and tell the task's owner so."""
    dead_letters.store([_unusable(arrival.message, detail)])
    event = arrival.content
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
    events += filter(None, map(dead_letters.event_of, letters))
    by_kind = defaultdict(list)
    for event in events:
        by_kind[event.kind].append(event)
    # Always in the same order: each locks rows, and two collectors must not wait in a circle.
    for kind, of_kind in sorted(by_kind.items()):
        engine = registry.find(kind)
        if engine:
            engine.apply(of_kind)
    if failed := [event for event in events if event.error]:
        dead_letters.explain(UUID(event.task_id) for event in failed)


def _content(message: Message) -> Content:
    """Decode a message; whatever comes of that, it ends neither its batch nor the collector."""
    try:
        return _decoded(message)
    except Exception as error:  # noqa: BLE001 -- anybody may have made it, and of anything
        detail = dead_letters.words(error)
        log.error("cannot be decoded", routing_key=routing_key(message), error=detail)
        return _unreadable(message, detail)


def _decoded(message: Message) -> Content:
    """Decode a message by its routing key, which has to agree with its exchange and its body.

    The broker holds each service to its own exchange, and nothing to a routing key or a body.
    """
    key = routing_key(message)
    try:
        if not is_result(message):
            return dead_letters.describe(corpse(message))
        if not is_from_its_service(message):
            raise MalformedMessageError(OTHER_EXCHANGE)
        if announced := announcements.decoded(key, body_of(message)):
            return announced
        if key.endswith(REPORT_SUFFIX):
            return _report(message)
        if key.endswith(REFUSED_SUFFIX):
            return _unusable(message, REFUSED)
        return _event(message)
    except (*UNDECODABLE, ValueError) as error:
        return _unusable(message, str(error))


def _event(message: Message) -> TaskEvent:
    form = registry.form_of_events(service_of(message))
    event = msgspec.json.decode(body_of(message), type=form)
    UUID(event.task_id)  # ours always are
    if event.routing_key != routing_key(message):
        raise MalformedMessageError(OTHER_KEY)
    return event


def _report(message: Message) -> WorkerReport:
    report = msgspec.json.decode(body_of(message), type=WorkerReport)
    for task_id in report.holding:
        UUID(task_id)
    named = report.worker.startswith(f"{report.service}-")
    if report.routing_key != routing_key(message) or not named:
        raise MalformedMessageError(OTHER_KEY)
    return report


def _unusable(message: Message, detail: str) -> DeadLetter:
    letter = dead_letters.describe(corpse(message))
    letter.reason, letter.detail = dead_letters.MALFORMED, storable_text(detail, LONGEST_DETAIL)
    if is_result(message):
        letter.queue = topology.WEB_RESULTS.name
        service = routing_key(message).removesuffix(REFUSED_SUFFIX)
        # Nor may its headers name another's task.
        if not (is_from_its_service(message) and letter.task.startswith(f"{service}.")):
            letter.task_id = None
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
