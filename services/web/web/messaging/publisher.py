"""Publishing in a pipeline: many messages on their way, each with its own confirm.

A confirm costs the broker a disk sync, so that a publisher which waits for each does a hundred
messages a second; one that does not wait lets them share a sync.
Source: https://www.rabbitmq.com/docs/confirms#publisher-confirms
"""

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from kombu import Connection, Producer

from contracts.topology import check
from web.messaging.models import OutboxMessage
from web.messaging.publisher_app import CONTROL, app

HEARTBEAT = 20  # seconds; a connection that is silent for twice as long is dead
CONFIRM_TIMEOUT = 30.0  # seconds of silence after which a connection is given up


class BrokerSilentError(ConnectionError):
    """The broker neither confirmed nor refused in time: it is blocked, overloaded or gone."""


@dataclass
class Outcome:
    """What the broker said of each message of a batch."""

    confirmed: list[OutboxMessage] = field(default_factory=list)
    refused: list[tuple[OutboxMessage, str]] = field(default_factory=list)
    returned: list[tuple[OutboxMessage, str]] = field(default_factory=list)
    unencodable: list[tuple[OutboxMessage, str]] = field(default_factory=list)


class Publisher:
    """A connection to the broker with one channel for messages and one for Flower's events."""

    def __init__(self) -> None:
        self._connection: Connection = app.connection_for_write(heartbeat=HEARTBEAT)
        self._tag = 0
        self._pending: dict[int, OutboxMessage] = {}
        self._returns: dict[str, str] = {}
        self._outcome = Outcome()

    def __enter__(self) -> "Publisher":
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _open(self) -> None:
        self._connection.connect()
        check(self._connection)
        self._channel = cast("Any", self._connection.channel())  # py-amqp's, untyped
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self._producer = Producer(self._channel, auto_declare=False)
        self._event_producer = Producer(self._connection.channel(), auto_declare=False)
        # A cancellation may be the first to use it, before any worker was ever started.
        CONTROL(self._connection.default_channel).declare()
        self._dispatcher = app.events.Dispatcher(enabled=False, hostname="relay@web")

    def _close(self) -> None:
        self._connection.collect()  # also closes a broken connection, without waiting for it

    def keep_alive(self) -> None:
        """Answer heartbeats. Raises one of ``BROKER_ERRORS`` if the broker is gone."""
        self._connection.heartbeat_check()
        while self._drained(timeout=0.001):
            pass

    def publish(self, messages: Sequence[OutboxMessage]) -> Outcome:
        """Publish a batch and wait until the broker has answered for each message.

        Raises one of ``BROKER_ERRORS``; the fate of the batch is then unknown.
        """
        self._outcome = Outcome()
        for message in messages:
            self._send(message)
        deadline = time.monotonic() + CONFIRM_TIMEOUT
        while self._pending:
            if self._drained(timeout=1.0):
                deadline = time.monotonic() + CONFIRM_TIMEOUT
            else:
                self._connection.heartbeat_check()
                if time.monotonic() > deadline:
                    raise BrokerSilentError(f"no confirm in {CONFIRM_TIMEOUT:.0f} s")
        self._tell_flower(self._outcome.confirmed)
        return self._outcome

    def _send(self, message: OutboxMessage) -> None:
        properties = dict(message.properties)
        try:
            self._producer.publish(
                bytes(message.body),
                exchange=message.exchange,
                routing_key=message.routing_key,
                headers=message.headers | {"outbox_id": str(message.pk)},
                mandatory=message.mandatory,
                retry=False,
                **properties,
            )
        except (TypeError, ValueError, KeyError, AttributeError, struct.error) as error:
            self._outcome.unencodable.append((message, f"{type(error).__name__}: {error}"))
            return
        self._tag += 1
        self._pending[self._tag] = message

    def _drained(self, timeout: float) -> bool:
        try:
            self._connection.drain_events(timeout=timeout)
        except TimeoutError:
            return False
        return True

    def _take(self, tag: int, multiple: bool) -> list[OutboxMessage]:
        tags = [known for known in self._pending if known <= tag] if multiple else [tag]
        return [self._pending.pop(known) for known in tags if known in self._pending]

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for message in self._take(tag, multiple):
            reason = self._returns.pop(str(message.pk), None)
            if reason:  # the broker returns what it cannot route, and then confirms it
                self._outcome.returned.append((message, reason))
            else:
                self._outcome.confirmed.append(message)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for message in self._take(tag, multiple):
            self._outcome.refused.append((message, "the broker refused it: a queue is full"))

    def _on_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self._returns[message.headers["outbox_id"]] = f"{error} ({exchange}, {routing_key})"

    def _tell_flower(self, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            if message.sent_event:
                self._dispatcher.publish(
                    "task-sent",
                    message.sent_event
                    | {"exchange": message.exchange, "routing_key": message.routing_key},
                    self._event_producer,
                    retry=False,
                )
