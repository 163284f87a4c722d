"""Web, played by tests of a worker: sends task messages, reads results and dead letters."""

import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec
from celery import Celery
from kombu import Connection, Exchange, Producer, Queue

from contracts import topology
from contracts.bundles import Answers, Bundle, Member, bundle_of
from contracts.events import (
    ANSWERS_SUFFIX,
    CATALOGUE_ROUTING_KEY,
    REPORT_SUFFIX,
    Catalogue,
    TaskEvent,
    TaskState,
    WorkerReport,
)
from contracts.tasks import TaskContract
from runtime.broker import CELERY

from .polling import poll
from .wire import Copy

T = TypeVar("T")
FINAL = {TaskState.SUCCESS, TaskState.FAILURE, TaskState.REVOKED, TaskState.RETRY}


class Web:
    """Sends to ``warren.tasks``, and consumes ``web.results`` and ``web.dead``."""

    def __init__(self, url: str, contract: TaskContract[Any]) -> None:
        """Declare the topology in a vhost; the contract is that of the tasks that are sent."""
        self.app = Celery("web", set_as_current=False)
        self.app.conf.update(CELERY | {"broker_url": url})
        self.events: list[TaskEvent] = []
        self.catalogues: list[Catalogue] = []
        self.reports: list[WorkerReport] = []
        self.dead: list[Copy] = []
        self.vhost = url.rpartition("/")[2]
        self._task, self._service = contract.name, contract.service
        self._consumers: dict[str, Callable[[], object]] = {}
        self._connection = Connection(url, transport_options={"confirm_publish": True})
        self.connect()

    def connect(self) -> None:
        """Connect, also anew; create what is missing of the topology, and consume."""
        self._connection.collect()
        topology.declare(self._connection)
        topology.restore(self._connection)  # RabbitMQ may lose a binding that it has just made
        self._producer = Producer(self._connection, auto_declare=False)
        self._consume(topology.WEB_RESULTS, self._on_result)
        self._consume(topology.WEB_DEAD, self.dead.append)

    def close(self) -> None:
        """Disconnect."""
        self.app.close()
        self._connection.close()

    def send(self, payload: Any, *, headers: dict[str, Any] | None = None, **options: Any) -> str:
        """Send a task message as web's outbox does, with any payload; the task's id.

        ``options`` are those of Celery's ``create_task_message``.
        """
        task_id = str(uuid.uuid4())
        shown = {"argsrepr": "()", "kwargsrepr": "{}"}
        message = self.app.amqp.create_task_message(task_id, self._task, (), {}, **shown | options)
        args, _, embed = message.body
        self.publish(
            msgspec.json.encode([args, payload, embed]),
            message.headers | {"request_id": f"request-{task_id}"} | (headers or {}),
            **message.properties,
        )
        return task_id

    def send_bundle(self, *payloads: Any, **headers: Any) -> list[str]:
        """Send tasks in one message, as web's relay does; the tasks' ids."""
        contract, ids = bundle_of(self._service), [uuid.uuid4() for _ in payloads]
        members = [
            Member(id=each, arguments=payload, request_id=f"request-{each}")
            for each, payload in zip(ids, payloads, strict=True)
        ]
        arguments = contract.encode(Bundle(task=self._task, members=members))
        bundle_id = str(uuid.uuid4())
        self.publish(
            msgspec.json.encode([[], arguments, {}]),
            {"task": contract.name, "id": bundle_id, "lang": "py"} | headers,
            routing_key=contract.name,
            correlation_id=bundle_id,
        )
        return [str(each) for each in ids]

    def publish(
        self, body: bytes, headers: dict[str, Any], *, routing_key: str = "", **properties: Any
    ) -> None:
        """Publish any bytes to ``warren.tasks``, where they are taken for the task."""
        usual = {"content_type": "application/json", "content_encoding": "utf-8"}
        self._producer.publish(
            body,
            exchange=topology.TASKS.name,
            routing_key=routing_key or self._task,
            headers=headers,
            mandatory=True,
            **{**usual, "delivery_mode": 2, **properties},
        )

    def revoke(self, task_id: str, signal: str = "SIGTERM") -> None:
        """Cancel a task, also while it runs."""
        self.app.control.revoke(task_id, terminate=True, signal=signal)

    def delete(self, entity: Exchange | Queue) -> None:
        """Delete an exchange or a queue by hand."""
        # Else the broker would cancel the consumer, and say so in the middle of some later answer.
        if cancel := self._consumers.pop(entity.name, None):
            cancel()
        with self._connection.channel() as channel:
            entity(channel).delete()

    def stop_taking_results(self) -> None:
        """Let the results' exchange of the service lead nowhere."""
        exchange = topology.results_exchange(self._service)
        channel = self._connection.default_channel
        topology.WEB_RESULTS(channel).unbind_from(exchange, routing_key="#")

    def take_results(self) -> None:
        """Let it lead here again."""
        exchange = topology.results_exchange(self._service)
        topology.WEB_RESULTS(self._connection.default_channel).bind_to(exchange, routing_key="#")

    def waiting(self) -> int:
        """Count the requests in the service's queue that no worker holds."""
        with self._connection.channel() as channel:
            queue: Any = topology.task_queue(self._service)(channel)
            count: int = queue.queue_declare(passive=True).message_count
            return count

    def history(self, task_id: str) -> list[TaskEvent]:
        """Return what has come in about a task."""
        return [event for event in self.events if event.task_id == task_id]

    def states(self, task_id: str) -> list[tuple[TaskState, int]]:
        """Return the states of a task with their attempts, without progress."""
        history = self.history(task_id)
        return [(e.state, e.attempt) for e in history if e.state != TaskState.PROGRESS]

    def await_state(self, task_id: str, *states: TaskState, attempt: int = 1) -> TaskEvent:
        """Wait for a state of a task, in any attempt if ``attempt`` is 0."""
        return self.first(
            lambda: (
                event
                for event in self.history(task_id)
                if event.state in states and attempt in (0, event.attempt)
            ),
            f"{[*states]} of attempt {attempt}",
        )

    def outcome(self, task_id: str, attempt: int = 1) -> TaskEvent:
        """Wait for the end of a run."""
        return self.await_state(task_id, *FINAL, attempt=attempt)

    def dead_letter(self, correlation_id: str) -> Copy:
        """Wait for the dead letter of a message."""
        return self.first(
            lambda: (m for m in self.dead if m.properties.get("correlation_id") == correlation_id),
            f"dead letter of {correlation_id}",
        )

    def dead_ids(self) -> list[str]:
        """Return the correlation ids of the dead letters that came in."""
        return [str(message.properties.get("correlation_id")) for message in self.dead]

    def until(self, condition: Callable[[], object], what: str = "such thing") -> None:
        """Read what comes in until the condition holds."""
        poll(
            condition,
            what=what,
            explain=lambda: f"events {self.events}\ndead letters {self.dead_ids()}",
            meanwhile=self.drain,
        )

    def first(self, found: Callable[[], Iterable[T]], what: str) -> T:
        """Read what comes in until there is something, and return it."""
        self.until(lambda: any(True for _ in found()), what)
        return next(iter(found()))

    def drain(self, seconds: float = 0.1) -> None:
        """Read what has come in."""
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=seconds)

    def _consume(self, queue: Queue, callback: Callable[[Copy], None]) -> None:
        # Not by kombu's consumer, which unpacks a compressed message at once, however large.
        channel: Any = self._connection.channel()
        tag = channel.basic_consume(
            queue.name, no_ack=True, callback=lambda message: callback(Copy.of(message))
        )
        self._consumers[queue.name] = partial(channel.basic_cancel, tag)

    def _on_result(self, message: Copy) -> None:
        if message.routing_key == CATALOGUE_ROUTING_KEY:
            self.catalogues.append(msgspec.json.decode(message.body, type=Catalogue))
        elif message.routing_key.endswith(REPORT_SUFFIX):
            self.reports.append(msgspec.json.decode(message.body, type=WorkerReport))
        elif message.routing_key.endswith(ANSWERS_SUFFIX):
            for enclosed in msgspec.json.decode(message.body, type=Answers):
                self._on_event(enclosed.body)
        else:
            self._on_event(message.body)

    def _on_event(self, body: bytes | msgspec.Raw) -> None:
        event = msgspec.json.decode(body, type=TaskEvent)
        # A publish whose confirm got lost is repeated: the very same event may come twice.
        if event not in self.events:
            self.events.append(event)
