"""The collector: results and dead letters → PostgreSQL, in batches, each arrival counted once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import msgspec
import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
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
from web.messaging import dead_letters, handlers, workers
from web.messaging.dead_letters import LONGEST_DETAIL, UNDECODABLE, Corpse
from web.messaging.lifecycle import DATABASE_ERRORS, StopSignal
from web.messaging.models import DeadLetter
from web.messaging.publisher_app import app
from web.messaging.storable import storable_text

log = structlog.get_logger("web.collector")
HEARTBEAT = 20  # seconds
IDLE = 1.0  # seconds to wait for the first message of a batch
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
    with app.connection_for_read(heartbeat=HEARTBEAT) as connection:
        connection.connect()
        topology.check(connection)
        inbox = Inbox(connection)
        log.info("collector connected")
        while not stop:
            liveness.touch()
            connection.heartbeat_check()
            messages = inbox.receive()
            if messages:
                apply(messages)
                messages[-1].ack(multiple=True)


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
        channel: Any = connection.channel()  # py-amqp's, which has no types
        channel.auto_decode = False  # a body may be anything, whatever encoding it claims to have
        channel.Message = RawMessage
        channel.basic_qos(0, settings.COLLECTOR_BATCH, False)
        self._consumer = Consumer(
            channel,
            [topology.WEB_RESULTS, topology.WEB_DEAD],
            auto_declare=False,
            accept=None,  # bodies are decoded here, where a malformed one becomes a dead letter
            on_message=self._received.append,
        )
        self._consumer.consume()

    def receive(self) -> list[Message]:
        """Return all messages that are there, at most a batch; wait a moment if there are none."""
        while len(self._received) < settings.COLLECTOR_BATCH:
            try:
                self._connection.drain_events(timeout=LINGER if self._received else IDLE)
            except TimeoutError:
                break
        messages = list(self._received)
        self._received.clear()
        return messages


def apply(messages: Sequence[Message]) -> None:
    """Bring the database up to date with a batch, in one transaction.

    A message that the database refuses for what it says becomes a dead letter of its own, so that
    it stops nothing else.
    """
    try:
        _write(_sort(messages))
    except DATABASE_ERRORS:
        raise
    except (DatabaseError, ValueError, TypeError) as error:
        if len(messages) > 1:
            for message in messages:
                apply([message])
            return
        log.exception("message refused", routing_key=_routing_key(messages[0]))
        _refuse(messages[0], f"{type(error).__name__}: {error}")


@transaction.atomic
def _refuse(message: Message, detail: str) -> None:
    """Put what cannot be stored into the dead letters, and tell the task's owner so."""
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
    dead_letters.store(batch.letters)
    deaths = (dead_letters.event_of(letter) for letter in batch.letters)
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
