"""Publishing in a pipeline: many messages on their way, each with its own confirm.

A confirm costs the broker a disk sync. A publisher that waits for each confirm publishes a hundred
messages a second. Without the waiting, many messages share a sync.
Source: https://www.rabbitmq.com/docs/confirms#publisher-confirms
"""

import struct
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from select import select
from typing import Any

import structlog
from amqp import Message
from amqp.exceptions import ChannelError, FrameSyntaxError, PreconditionFailed
from amqp.serialization import dumps
from kombu import Connection, Producer

from contracts import topology
from web.messaging.broker.client import CONTROL, app
from web.messaging.broker.connection import ANSWER, connected, drained, keep_alive
from web.messaging.models import OutboxMessage

log = structlog.get_logger("web.publisher")
CONFIRM_TIMEOUT = 30.0  # seconds of silence after which a connection is given up
# Properties have to fit into one frame (of 128 KiB), or the broker closes the connection.
LARGEST_HEADERS = 100_000  # bytes
# Errors of encoding a row; py-amqp raises FrameSyntaxError for a name that is too long.
UNENCODABLE = (
    TypeError, ValueError, KeyError, AttributeError, RecursionError, struct.error, FrameSyntaxError,
)  # fmt: skip
LOOK_UP = 1.0  # seconds to wait for the broker before checking deadline and heartbeat
Answers = list[tuple[OutboxMessage, str]]


class BrokerSilentError(ConnectionError):
    """The broker neither confirmed nor refused in time: it is overloaded or gone."""


@dataclass
class Outcome:
    """The broker's answer to each message of a batch; ``open`` holds those without one."""

    open: dict[int, OutboxMessage]
    confirmed: list[OutboxMessage] = field(default_factory=list)
    refused: Answers = field(default_factory=list)
    returned: Answers = field(default_factory=list)
    unencodable: Answers = field(default_factory=list)

    def add(self, answers: Answers, message: OutboxMessage, reason: str) -> None:
        """Note an answer other than a confirm."""
        del self.open[message.pk]
        answers.append((message, reason))

    def confirm(self, message: OutboxMessage) -> None:
        """Note a confirm."""
        self.confirmed.append(self.open.pop(message.pk))


class Publisher:
    """A connection to the broker with one channel for messages and one for Flower's events.

    ``blocked`` says that the broker takes nothing, because it is short of memory or disk.
    Source: https://www.rabbitmq.com/docs/connection-blocked
    """

    def __init__(self) -> None:
        self.blocked = False
        self._exit = ExitStack()
        self._channels: list[Any] = []  # py-amqp's, which have no types
        self._outcome = Outcome({})

    def __enter__(self) -> "Publisher":
        with ExitStack() as opening:
            self._connection: Connection = opening.enter_context(connected(topology.OF_RELAY))
            self._amqp: Any = self._connection.connection
            self._amqp.on_blocked, self._amqp.on_unblocked = self._on_blocked, self._on_unblocked
            self._open_channels()
            # Workers declare it too, but a revoke may be published before the first one starts.
            CONTROL(self._connection.default_channel).declare()
            self._dispatcher = app.events.Dispatcher(enabled=False, hostname="relay@web")
            self._look_for_alarm()
            self._exit = opening.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._exit.__exit__(*error)

    def _open_channels(self) -> None:
        for channel in self._channels:
            self._connection.maybe_close_channel(channel)
        self._channels = [self._amqp.channel(), self._amqp.channel()]
        channel, events = self._channels
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)
        self._producer = Producer(channel, auto_declare=False)
        self._event_producer = Producer(events, auto_declare=False)
        self._tag = 0
        self._pending: dict[int, OutboxMessage | None] = {}
        self._returns: dict[str, str] = {}

    def _look_for_alarm(self) -> None:
        # The broker tells only publishers of an alarm, so publish a message that goes nowhere.
        # Otherwise the first real one would find out. Larger than the socket's buffers, it would
        # end each new connection with a timeout.
        self._channels[0].basic_publish(Message(), exchange="", routing_key="warren.nowhere")
        self._tag, self._pending = 1, {1: None}
        while self._pending and not self.blocked:
            self._connection.drain_events(timeout=ANSWER)

    def keep_alive(self) -> None:
        """Answer heartbeats. Raises one of ``BROKER_ERRORS`` if the broker is gone."""
        keep_alive(self._connection)

    def publish(self, outcome: Outcome, go_on: Callable[[], bool]) -> None:
        """Publish the open messages and wait for the answers, for as long as ``go_on()`` is true.

        Raises one of ``BROKER_ERRORS``; the fate of messages still open is then unknown.
        """
        self._outcome = outcome
        messages = list(outcome.open.values())
        try:
            self._publish(messages, go_on)
        except ChannelError as error:
            # One message made the broker close the channel. Publishing each alone shows which one.
            log.warning("channel closed", reason=str(error))
            self._open_channels()
            for message in list(outcome.open.values()):
                if not self._publish_alone(message, go_on):
                    return

    def _publish_alone(self, message: OutboxMessage, go_on: Callable[[], bool]) -> bool:
        try:
            return self._publish([message], go_on)
        except ChannelError as error:
            self._open_channels()
            outcome = self._outcome
            # Too large or wrongly made: the broker will never take it. Any other cause, such as a
            # missing exchange or permission, may be mended.
            final = isinstance(error, PreconditionFailed)
            outcome.add(outcome.unencodable if final else outcome.refused, message, str(error))
            return True

    def _publish(self, messages: Sequence[OutboxMessage], go_on: Callable[[], bool]) -> bool:
        for message in messages:
            if not self._await(self._has_room, go_on):
                return False
            self._send(message)
        return self._await(lambda: not self._pending, go_on)

    def _await(self, come: Callable[[], bool], go_on: Callable[[], bool]) -> bool:
        """Listen to the broker until ``come()`` is true; False if ``go_on()`` ends that."""
        deadline = time.monotonic() + CONFIRM_TIMEOUT
        while go_on():  # asked in any case: it renews the leases of a batch that never has to wait
            if come():
                return True
            if drained(self._connection, LOOK_UP) or self.blocked:
                deadline = time.monotonic() + CONFIRM_TIMEOUT
            self._connection.heartbeat_check()
            if time.monotonic() > deadline:
                raise BrokerSilentError(f"no confirm in {CONFIRM_TIMEOUT:.0f} s")
        return False

    def _has_room(self) -> bool:
        """Whether a message would go out at once: a broker with an alarm does not read."""
        sock = self._amqp.sock
        readable, writable, _ = select([sock], [sock], [], LOOK_UP)
        if readable:
            drained(self._connection, timeout=0.001)
        return bool(writable) and not self.blocked

    def _send(self, message: OutboxMessage) -> None:
        ours = {"outbox_id": str(message.pk), "refusals": message.refusals}
        try:
            headers = message.headers | ours
            if (size := len(dumps("F", (headers,)))) > LARGEST_HEADERS:
                raise ValueError(f"headers of {size} bytes")
            self._producer.publish(
                bytes(message.body),
                exchange=message.exchange,
                routing_key=message.routing_key,
                headers=headers,
                mandatory=message.mandatory,
                retry=False,
                **message.properties,
            )
        except UNENCODABLE as error:
            reason = f"{type(error).__name__}: {error}"
            self._outcome.add(self._outcome.unencodable, message, reason)
            return
        self._tag += 1
        self._pending[self._tag] = message

    def _take(self, tag: int, multiple: bool) -> list[OutboxMessage]:
        tags = [known for known in self._pending if known <= tag] if multiple else [tag]
        taken = [self._pending.pop(known, None) for known in tags]
        return [message for message in taken if message]

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for message in self._take(tag, multiple):
            reason = self._returns.pop(str(message.pk), None)
            if reason:  # the broker returns an unroutable message, and then confirms it
                self._outcome.add(self._outcome.returned, message, reason)
            else:
                self._outcome.confirm(message)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for message in self._take(tag, multiple):
            reason = "the broker refused it: a queue is full"
            self._outcome.add(self._outcome.refused, message, reason)

    def _on_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self._returns[message.headers["outbox_id"]] = f"{error} ({exchange}, {routing_key})"

    def _on_blocked(self, _reason: str) -> None:
        self.blocked = True
        log.warning("broker blocked: its memory or disk alarm is on, and it takes no messages")

    def _on_unblocked(self) -> None:
        self.blocked = False
        log.info("broker takes messages again")

    def tell_flower(self, messages: Sequence[OutboxMessage]) -> None:
        """Tell Flower of published tasks; it may miss some. Raises one of ``BROKER_ERRORS``."""
        for message in messages:
            if message.sent_event:
                self._dispatcher.publish(
                    "task-sent",
                    message.sent_event
                    | {"exchange": message.exchange, "routing_key": message.routing_key},
                    self._event_producer,
                    retry=False,
                )
