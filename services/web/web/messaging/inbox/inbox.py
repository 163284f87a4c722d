"""The two queues from which the collector takes messages."""

import math
import time
from typing import Any, cast

from django.conf import settings
from kombu import Connection, Consumer, Message
from kombu.transport import pyamqp

from contracts import topology
from web.messaging.broker.arrivals import Arrival
from web.messaging.broker.connection import REST, drained, has_come

IDLE = 1.0  # seconds to wait for the first message of a batch
BATCH_SIZE = 16_000_000  # bytes after which a batch takes no more: all of it is in memory
# Where so many messages come in a second, a batch waits so many seconds for one more: fewer commits
# are worth that then. A single job waits for nothing.
BUSY, LINGER = 80.0, 0.005
KEPT = {"correlation_id", "reply_to", "priority", "delivery_mode", "message_id"}  # properties


class RawMessage(pyamqp.Message):
    """A message whose body is not decompressed, whatever its headers say.

    The body may not be compressed at all, or may be a decompression bomb.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.errors = [None]  # kombu decompresses only a message without errors
        super().__init__(*args, **options)
        self.errors = []


class Pace:
    """How many messages have come in a second, as a mean in which the last second counts most."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._noted = time.monotonic()

    def note(self, number: int) -> None:
        """Count messages that have come since the last call."""
        now = time.monotonic()
        self.rate = self.rate * math.exp(self._noted - now) + number
        self._noted = now


class Inbox:
    """Consumes both of web's queues on one channel."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._received: list[Arrival] = []
        self._size = 0
        self._pace = Pace()
        channel: Any = connection.channel()  # py-amqp's, which has no types
        channel.auto_decode = False  # a body may be anything, whatever its headers say
        channel.Message = RawMessage
        channel.basic_qos(0, settings.COLLECTOR_BATCH, False)
        self._channel = channel
        self._consumer = Consumer(
            channel,
            [topology.WEB_RESULTS, topology.WEB_DEAD],
            auto_declare=False,
            accept=None,  # bodies are decoded here, where a malformed one becomes a dead letter
            on_message=self._take,
        )
        self._consumer.consume()

    def receive(self) -> list[Arrival]:
        """Return the messages that have arrived, at most a batch; wait up to IDLE for the first."""
        linger = LINGER if self._pace.rate > BUSY else REST
        while len(self._received) < settings.COLLECTOR_BATCH and self._size < BATCH_SIZE:
            if self._received and linger == REST and not has_come(self._connection):
                break
            if not drained(self._connection, linger if self._received else IDLE):
                break
        arrivals, self._received, self._size = self._received, [], 0
        self._pace.note(len(arrivals))
        return arrivals

    def acknowledge(self, arrival: Arrival) -> None:
        """Acknowledge a message and all that came before it."""
        self._channel.basic_ack(arrival.delivery_tag, multiple=True)

    def _take(self, message: Message) -> None:
        parts = _arrival(message).parts()
        self._received += parts
        self._size += sum(len(part.body) for part in parts)


def _arrival(message: Message) -> Arrival:
    info = message.delivery_info
    properties = {name: value for name, value in message.properties.items() if name in KEPT}
    return Arrival(
        headers=dict(message.headers),
        properties=properties
        | {"content_type": message.content_type, "content_encoding": message.content_encoding},
        body=cast("bytes", message.body or b""),
        routing_key=str(info["routing_key"]),
        exchange=str(info["exchange"]),
        redelivered=info["redelivered"],
        delivery_tag=info["delivery_tag"],
    )
