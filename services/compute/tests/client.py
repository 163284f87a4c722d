"""What web does, done by the tests: sends task messages, reads results and dead letters."""

import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from celery import Celery
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue

from contracts import topology
from contracts.results import (
    CATALOGUE_ROUTING_KEY,
    REPORT_SUFFIX,
    Catalogue,
    TaskEvent,
    TaskState,
    WorkerReport,
)
from contracts.tasks import RUN_COMPUTATION
from contracts.worker import BROKER

T = TypeVar("T")
PATIENCE = 60.0  # seconds; a deadline for what should come, and no measure of anything
FINAL = {TaskState.SUCCESS, TaskState.FAILURE, TaskState.REVOKED, TaskState.RETRY}


class Client:
    """Sends to ``warren.tasks`` and consumes ``web.results`` and ``web.dead``."""

    def __init__(self, url: str) -> None:
        self.app = Celery("web", set_as_current=False)
        self.app.conf.update(BROKER | {"broker_url": url})
        self.events: list[TaskEvent] = []
        self.catalogues: list[Catalogue] = []
        self.dead: list[Message] = []
        self.reports: list[WorkerReport] = []
        self._consumers: dict[str, Consumer] = {}
        self._connection = Connection(url, transport_options={"confirm_publish": True})
        self.connect()

    def connect(self) -> None:
        """Connect, also anew; create what is missing of the topology, and consume."""
        self._connection.collect()
        topology.declare(self._connection)
        topology.restore(self._connection)  # RabbitMQ may lose a binding that it has just made
        self._producer = Producer(self._connection, auto_declare=False)
        self._consume(topology.WEB_RESULTS, self._on_result)
        self._consume(topology.WEB_DEAD, self._on_dead_letter)

    def delete(self, entity: Exchange | Queue) -> None:
        """Delete an exchange or a queue by hand."""
        # Else the broker would cancel the consumer, and say so in the middle of some later answer.
        if consumer := self._consumers.pop(entity.name, None):
            consumer.cancel()
        with self._connection.channel() as channel:
            entity(channel).delete()

    def close(self) -> None:
        """Disconnect."""
        self.app.close()
        self._connection.close()

    def compute(self, computation: str, arguments: dict[str, Any], **options: Any) -> str:
        """Ask for a computation as web's outbox does; returns the task's id."""
        payload = {"job_id": str(uuid.uuid4()), "computation": computation, "arguments": arguments}
        return self.send(RUN_COMPUTATION.name, payload, **options)

    def send(
        self, task: str, payload: Any, *, headers: dict[str, Any] | None = None, **options: Any
    ) -> str:
        """Send a task message; ``options`` are those of Celery's ``create_task_message``."""
        task_id = str(uuid.uuid4())
        shown = {"argsrepr": "()", "kwargsrepr": "{}"}
        message = self.app.amqp.create_task_message(task_id, task, (), {}, **shown, **options)
        args, _, embed = message.body
        self.publish(
            msgspec.json.encode([args, payload, embed]),
            message.headers | {"request_id": f"request-{task_id}"} | (headers or {}),
            routing_key=task,
            **message.properties,
        )
        return task_id

    def publish(
        self,
        body: bytes,
        headers: dict[str, Any],
        *,
        routing_key: str = RUN_COMPUTATION.name,
        **properties: Any,
    ) -> None:
        """Publish any bytes to ``warren.tasks``."""
        self._producer.publish(
            body,
            exchange=topology.TASKS.name,
            routing_key=routing_key,
            headers=headers,
            **{"content_type": "application/json", "content_encoding": "utf-8"} | properties,
            delivery_mode=2,
            mandatory=True,
        )

    def waiting(self) -> int:
        """Count the requests in the queue, after the worker that held some has ended."""
        with self._connection.channel() as channel:
            queue: Any = topology.task_queue("compute")(channel)
            count: int = queue.queue_declare(passive=True).message_count
            return count

    def revoke(self, task_id: str, signal: str = "SIGTERM") -> None:
        """Cancel a task, also while it runs."""
        self.app.control.revoke(task_id, terminate=True, signal=signal)

    def history(self, task_id: str) -> list[TaskEvent]:
        """Return what has come in about a task."""
        return [event for event in self.events if event.task_id == task_id]

    def states(self, task_id: str) -> list[tuple[TaskState, int]]:
        """Return the states of a task with their attempts, without progress."""
        history = self.history(task_id)
        return [(e.state, e.attempt) for e in history if e.state != TaskState.PROGRESS]

    def until_state(self, task_id: str, *states: TaskState, attempt: int = 1) -> TaskEvent:
        """Wait for a state of a task."""
        wanted = {(state, attempt) for state in states}
        return self.first(
            lambda: (e for e in self.history(task_id) if (e.state, e.attempt) in wanted),
            f"{[*states]} of attempt {attempt}",
        )

    def outcome(self, task_id: str, attempt: int = 1) -> TaskEvent:
        """Wait for the end of a run."""
        return self.until_state(task_id, *FINAL, attempt=attempt)

    def dead_letter(self, correlation_id: str) -> Message:
        """Wait for the dead letter of a message."""
        return self.first(
            lambda: (m for m in self.dead if m.properties.get("correlation_id") == correlation_id),
            "dead letter",
        )

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Read what comes in until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
            self.drain()

    def first(self, found: Callable[[], Iterable[T]], what: str) -> T:
        """Read what comes in until there is something, and return it."""
        self.until(lambda: any(True for _ in found()), what)
        return next(iter(found()))

    def drain(self, seconds: float = 0.1) -> None:
        """Read what has come in."""
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=seconds)

    def _consume(self, queue: Any, callback: Callable[[Message], None]) -> None:
        consumer = Consumer(
            self._connection.channel(),
            [queue(self._connection)],
            on_message=callback,
            on_decode_error=lambda message, _: callback(message),
            no_ack=True,
        )
        consumer.consume()
        self._consumers[queue.name] = consumer

    def _on_result(self, message: Message) -> None:
        body = message.body or ""
        if message.delivery_info["routing_key"] == CATALOGUE_ROUTING_KEY:
            self.catalogues.append(msgspec.json.decode(body, type=Catalogue))
        elif message.delivery_info["routing_key"].endswith(REPORT_SUFFIX):
            self.reports.append(msgspec.json.decode(body, type=WorkerReport))
        elif (event := msgspec.json.decode(body, type=TaskEvent)) not in self.events:
            # A publish whose confirm got lost is repeated: the very same event may come twice.
            self.events.append(event)

    def _on_dead_letter(self, message: Message) -> None:
        self.dead.append(message)
