"""RabbitMQ as an uninvited guest uses it."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from kombu import Connection, Exchange, Queue

from contracts import topology

from .polling import DEADLINE, poll


class Copy(NamedTuple):
    """A message as it came over the wire."""

    exchange: str
    routing_key: str
    headers: dict[str, Any]
    properties: dict[str, Any]
    body: bytes

    @classmethod
    def of(cls, message: Any) -> "Copy":
        """Take over what the client library received."""
        body = message.body if isinstance(message.body, bytes) else message.body.encode()
        info, properties = message.delivery_info, dict(message.properties)
        headers = properties.pop("application_headers", {})
        return cls(info["exchange"], info["routing_key"], headers, properties, body)


class Spy:
    """A queue of its own that gets a copy of every message that suits it."""

    def __init__(self, connection: Connection, exchanges: Sequence[str], routing_key: str) -> None:
        self._channel: Any = connection.channel()
        queue = Queue(f"spy.{secrets.token_hex(4)}", exclusive=True, auto_delete=True)
        self._queue = queue(self._channel)
        self._queue.declare()
        for exchange in exchanges:
            self._queue.bind_to(exchange, routing_key)
        self._seen: list[Copy] = []

    @property
    def seen(self) -> list[Copy]:
        """All copies so far, oldest first."""
        while message := self._channel.basic_get(self._queue.name, no_ack=True):
            self._seen.append(Copy.of(message))
        return self._seen

    def of(self, task_id: str) -> list[Copy]:
        """Copies that belong to one task."""
        return [copy for copy in self.seen if copy.properties.get("correlation_id") == task_id]

    def await_copy(self, task_id: str, suffix: str = "") -> Copy:
        """Wait for a copy of a task's message whose routing key ends in ``suffix``."""

        def found() -> list[Copy]:
            return [copy for copy in self.of(task_id) if copy.routing_key.endswith(suffix)]

        return poll(found, what=f"message of task {task_id} {suffix}")[0]


class Wire:
    """A connection to one vhost."""

    def __init__(self, url: str) -> None:
        self.connection = Connection(url)
        self.connection.connect()
        self.published = 0

    @classmethod
    @contextmanager
    def open(cls, url: str) -> Iterator["Wire"]:
        """Connect for a while."""
        wire = cls(url)
        try:
            yield wire
        finally:
            wire.connection.collect()  # closes also what a broken broker has left

    def spy(self, exchange: str, routing_key: str = "#") -> Spy:
        """Copy all that passes an exchange from now on."""
        return Spy(self.connection, [exchange], routing_key)

    def spy_results(self) -> Spy:
        """Copy all that workers report from now on."""
        return Spy(self.connection, [exchange.name for exchange in topology.RESULTS], "#")

    def declare_celery(self) -> None:
        """Make the exchanges of Celery's commands and events, as its first process does."""
        with self.connection.channel() as channel:
            Exchange("celery.pidbox", "fanout", durable=False)(channel).declare()
            Exchange("celeryev", "topic")(channel).declare()

    def publish(
        self, body: bytes, routing_key: str, headers: dict[str, Any] | None = None, **options: Any
    ) -> None:
        """Publish anything, by default to the exchange of tasks."""
        properties = {"content_type": "application/json", "content_encoding": "utf-8"} | options
        exchange = properties.pop("exchange", topology.TASKS.name)
        with self.connection.Producer(auto_declare=False) as producer:
            producer.publish(
                body,
                exchange=exchange,
                routing_key=routing_key,
                headers=headers or {},
                **properties,
            )
        self.published += 1

    @contextmanager
    def confirming(self) -> Iterator[None]:
        """Publish many meanwhile, and wait in the end until the broker has all of them.

        Without that, those last published may be lost when the connection is closed.
        """
        channel: Any = self.connection.default_channel  # py-amqp's, on which publish() publishes
        channel.confirm_select()
        highest = 0

        def note(tag: int, multiple: bool) -> None:
            nonlocal highest
            highest = max(highest, tag)

        channel.events["basic_ack"].add(note)
        before = self.published
        yield
        while highest < self.published - before:
            self.connection.drain_events(timeout=DEADLINE)

    def repeat(self, copy: Copy) -> None:
        """Publish a message again, as it was."""
        kept = ("correlation_id", "reply_to", "content_type", "content_encoding", "delivery_mode")
        properties = {name: copy.properties[name] for name in kept if name in copy.properties}
        self.publish(
            copy.body, copy.routing_key, copy.headers, exchange=copy.exchange, **properties
        )

    def waiting(self, queue: str) -> int:
        """Count the messages of a queue that nobody has taken."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def take(self, queue: str) -> Copy | None:
        """Take a message out of a queue, if there is one."""
        with self.channel() as channel:
            message = channel.basic_get(queue, no_ack=True)
            return Copy.of(message) if message else None

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Open a channel, for what only amqp itself can do."""
        with self.connection.channel() as channel:
            yield channel
