"""The collector: results and dead letters → PostgreSQL, in batches, each arrival counted once."""

import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
import structlog
from django.conf import settings
from django.db import connection as database
from django.db import transaction
from kombu import Connection, Consumer, Message
from kombu.transport import pyamqp

from contracts import topology
from contracts.liveness import LivenessFile
from contracts.results import (
    CATALOGUE_ROUTING_KEY,
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
from web.messaging.dead_letters import LONGEST_DETAIL, UNDECODABLE, Corpse
from web.messaging.lifecycle import StopSignal, is_outage
from web.messaging.models import DeadLetter
from web.messaging.storable import storable_text

log = structlog.get_logger("web.collector")
IDLE = 1.0  # seconds to wait for the first message of a batch
BATCH_SIZE = 16_000_000  # bytes after which a batch is not made larger: all of it is in memory
LINGER = 0.005  # seconds to wait for one more message of a batch


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


class RawMessage(pyamqp.Message):
    """A message as it came. If its header says that it is compressed, it may not be, or a bomb."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.errors = [None]  # kombu unpacks only what has none
        super().__init__(*args, **options)
        self.errors = []


class Inbox:
    """Consumes both of web's queues on one channel."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._received: list[Message] = []
        self._size = 0
        channel: Any = connection.channel()  # py-amqp's, which has no types
        channel.auto_decode = False  # a body may be anything, whatever encoding it claims to have
        channel.Message = RawMessage
        channel.basic_qos(0, settings.COLLECTOR_BATCH, False)
        self._consumer = Consumer(
            channel,
            [topology.WEB_RESULTS, topology.WEB_DEAD],
            auto_declare=False,
            accept=None,  # bodies are decoded here, where a malformed one becomes a dead letter
            on_message=self._take,
        )
        self._consumer.consume()

    def receive(self) -> list[Message]:
        """Return all messages that are there, at most a batch; wait a moment if there are none."""
        while len(self._received) < settings.COLLECTOR_BATCH and self._size < BATCH_SIZE:
            try:
                self._connection.drain_events(timeout=LINGER if self._received else IDLE)
            except TimeoutError:
                break
        messages = list(self._received)
        self._received.clear()
        self._size = 0
        return messages

    def _take(self, message: Message) -> None:
        self._received.append(message)
        self._size += len(_body(message))


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
    log.error("message refused", routing_key=_routing_key(message), error=detail, at=at)
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
    for task, events in by_task.items():
        handler = handlers.find(task)
        if handler:
            handler.apply(events)


def _sort(messages: Sequence[Message]) -> Batch:
    batch = Batch([], [], [], [])
    for message in messages:
        try:
            if not _is_result(message):
                batch.letters.append(dead_letters.describe(_corpse(message)))
            elif _routing_key(message) == CATALOGUE_ROUTING_KEY:
                batch.catalogues.append(msgspec.json.decode(_body(message), type=Catalogue))
            elif _routing_key(message).endswith(REPORT_SUFFIX):
                batch.reports.append(_report(message))
            else:
                batch.events.append(_event(message))
        except (*UNDECODABLE, ValueError) as error:
            batch.letters.append(_unusable(message, str(error)))
    return batch


def _event(message: Message) -> TaskEvent:
    event = msgspec.json.decode(_body(message), type=TaskEvent)
    UUID(event.task_id)  # ours always are
    return event


def _report(message: Message) -> WorkerReport:
    report = msgspec.json.decode(_body(message), type=WorkerReport)
    for task_id in report.holding:
        UUID(task_id)
    return report


def _is_result(message: Message) -> bool:
    # What nobody wanted keeps the name of the exchange that it was first published to.
    return bool(message.delivery_info["exchange"] == topology.RESULTS.name)


def _routing_key(message: Message) -> str:
    return str(message.delivery_info["routing_key"])


def _corpse(message: Message) -> Corpse:
    properties = _properties(message)
    info = message.delivery_info
    return Corpse(
        dict(message.headers),
        properties,
        _body(message),
        _routing_key(message),
        exchange=info["exchange"],
        redelivered=info["redelivered"],
    )


def _body(message: Message) -> bytes:
    return cast("bytes", message.body or b"")


def _properties(message: Message) -> dict[str, Any]:
    kept = {"correlation_id", "reply_to", "priority", "delivery_mode", "message_id"}
    properties = {name: value for name, value in message.properties.items() if name in kept}
    return properties | {
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
    }


def _unusable(message: Message, detail: str) -> DeadLetter:
    letter = dead_letters.describe(_corpse(message))
    letter.reason, letter.detail = dead_letters.MALFORMED, storable_text(detail, LONGEST_DETAIL)
    if _is_result(message):
        letter.queue = topology.WEB_RESULTS.name
    return letter


def _unreadable(message: Message, detail: str) -> DeadLetter:
    return DeadLetter(
        fingerprint=uuid4().hex,
        reason=dead_letters.MALFORMED,
        detail=detail,
        queue=topology.WEB_RESULTS.name if _is_result(message) else "",
        exchange=storable_text(message.delivery_info["exchange"]),
        routing_key=storable_text(_routing_key(message)),
        headers={},
        properties={},
        body=_body(message),
    )
