"""What web does, done by the tests: sends requests, reads results and dead letters."""

import contextlib
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from celery import Celery
from kombu import Connection, Consumer, Message, Producer, Queue

from contracts import topology
from contracts.results import REPORT_SUFFIX, MailReceipt, TaskEvent, TaskState, WorkerReport
from contracts.tasks import SEND_EMAIL, SendEmail
from contracts.worker import BROKER

from .waiting import wait_for


class Web:
    """Sends to ``warren.tasks`` and consumes ``web.results`` and ``web.dead``."""

    def __init__(self, url: str) -> None:
        self.vhost = url.rpartition("/")[2]
        self._app = Celery("web", set_as_current=False)
        self._app.conf.update(BROKER | {"broker_url": url})
        self._connection = Connection(url, transport_options={"confirm_publish": True})
        topology.declare(self._connection)
        self._producer = Producer(self._connection, auto_declare=False)
        self.events: list[TaskEvent] = []
        self.reports: list[WorkerReport] = []
        self.dead: list[Message] = []
        self._consume(topology.WEB_RESULTS, self._on_result)
        self._consume(topology.WEB_DEAD, self.dead.append)

    def close(self) -> None:
        self._app.close()
        self._connection.close()

    def ask(self, mail: SendEmail) -> str:
        """Ask for a mail as web's outbox does; returns the task's id."""
        arguments = SEND_EMAIL.encode(mail)
        return self.send(arguments, kwargsrepr=SEND_EMAIL.shown_arguments(arguments))

    def send(self, arguments: Any, **options: Any) -> str:
        """Send a task message with any arguments, undescribed unless ``options`` do it."""
        task_id = str(uuid.uuid4())
        message = self._app.amqp.create_task_message(task_id, SEND_EMAIL.name, (), {}, **options)
        headers = message.headers | {"request_id": f"request-{task_id}"}
        if "kwargsrepr" not in options:
            del headers["argsrepr"], headers["kwargsrepr"]
        body = msgspec.json.encode([(), arguments, message.body[2]])
        self.publish(body, headers, **message.properties)
        return task_id

    def publish(self, body: bytes, headers: dict[str, Any], **properties: Any) -> None:
        """Publish any bytes to the mailer's queue."""
        self._producer.publish(
            body,
            exchange=topology.TASKS.name,
            routing_key=SEND_EMAIL.name,
            headers=headers,
            delivery_mode=2,
            mandatory=True,
            **{"content_type": "application/json", "content_encoding": "utf-8"} | properties,
        )

    def states(self, task_id: str) -> list[tuple[TaskState, int]]:
        """Return the states of a task that came in, each with its attempt."""
        return [(event.state, event.attempt) for event in self.events if event.task_id == task_id]

    def await_state(self, task_id: str, state: TaskState, attempt: int = 1) -> TaskEvent:
        """Wait for a state of a task."""
        self.wait_for(lambda: (state, attempt) in self.states(task_id))
        return next(
            e for e in self.events if (e.task_id, e.state, e.attempt) == (task_id, state, attempt)
        )

    def await_receipt(self, task_id: str, attempt: int = 0) -> MailReceipt:
        """Wait for a task's success, in any attempt unless one is named.

        A message may go to the connection of a worker that has just died, and come back.
        """

        def receipts() -> list[MailReceipt]:
            return [
                msgspec.convert(event.result, MailReceipt)
                for event in self.events
                if (event.task_id, event.state) == (task_id, TaskState.SUCCESS)
                and attempt in (0, event.attempt)
            ]

        self.wait_for(receipts)
        return receipts()[0]

    def await_dead_letter(self, correlation_id: str) -> Message:
        """Wait for the dead letter of a message."""
        self.wait_for(lambda: correlation_id in self.dead_ids())
        return next(m for m in self.dead if m.properties["correlation_id"] == correlation_id)

    def dead_ids(self) -> list[str]:
        """Return the correlation ids of the dead letters that came in."""
        return [message.properties["correlation_id"] for message in self.dead]

    def stop_taking_results(self) -> None:
        """Let the results' exchange lead nowhere."""
        topology.WEB_RESULTS(self._connection.default_channel).unbind_from(
            topology.results_exchange("mailer"), routing_key="#"
        )

    def take_results(self) -> None:
        """Let the results' exchange lead here again."""
        topology.WEB_RESULTS(self._connection.default_channel).bind_to(
            topology.results_exchange("mailer"), routing_key="#"
        )

    def waiting_requests(self) -> int:
        """Count the messages in the mailer's queue that no worker holds."""
        with self._connection.channel() as channel:
            queue: Any = topology.task_queue("mailer")(channel)
            count: int = queue.queue_declare(passive=True).message_count
            return count

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Read what comes in until the condition holds."""
        wait_for(condition, lambda: (self.events, self.dead_ids()), self.drain)

    def drain(self, seconds: float = 0.1) -> None:
        """Read what has come in."""
        with contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=seconds)

    def _consume(self, queue: Queue, callback: Callable[[Message], None]) -> None:
        bound = queue(self._connection)
        channel = self._connection.channel()
        Consumer(
            channel,
            [bound],
            on_message=callback,
            on_decode_error=lambda message, _: callback(message),
            no_ack=True,
        ).consume()

    def _on_result(self, message: Message) -> None:
        assert message.body is not None
        if str(message.delivery_info["routing_key"]).endswith(REPORT_SUFFIX):
            self.reports.append(msgspec.json.decode(message.body, type=WorkerReport))
        else:
            self.events.append(msgspec.json.decode(message.body, type=TaskEvent))
