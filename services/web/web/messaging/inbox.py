"""What comes to the collector, as it came: anybody may have made it, and of anything."""

from typing import Any, cast

from django.conf import settings
from kombu import Connection, Consumer, Message
from kombu.transport import pyamqp

from contracts import topology
from web.messaging.dead_letters import Corpse

IDLE = 1.0  # seconds to wait for the first message of a batch
BATCH_SIZE = 16_000_000  # bytes after which a batch is not made larger: all of it is in memory
LINGER = 0.005  # seconds to wait for one more message of a batch


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
        self._size += len(body_of(message))


def is_result(message: Message) -> bool:
    """Whether it came from a worker and not as a dead letter."""
    # What nobody wanted keeps the name of the exchange that it was first published to.
    exchange = str(message.delivery_info["exchange"])
    return exchange == topology.OLD_RESULTS or exchange.startswith(topology.results_name(""))


def is_from_its_service(message: Message) -> bool:
    """Whether a result came through the exchange of the service that its routing key names.

    What workers of an older version reported was held to its routing key by the broker.
    """
    own = (topology.results_name(service_of(message)), topology.OLD_RESULTS)
    return message.delivery_info["exchange"] in own


def service_of(message: Message) -> str:
    """Of a result: the service that its routing key names."""
    return routing_key(message).partition(".")[0]


def routing_key(message: Message) -> str:
    """With which it was published last."""
    return str(message.delivery_info["routing_key"])


def corpse(message: Message) -> Corpse:
    """All of it, as ``dead_letters`` wants it."""
    properties = _properties(message)
    info = message.delivery_info
    return Corpse(
        dict(message.headers),
        properties,
        body_of(message),
        routing_key(message),
        exchange=info["exchange"],
        redelivered=info["redelivered"],
    )


def body_of(message: Message) -> bytes:
    """Its body, byte for byte."""
    return cast("bytes", message.body or b"")


def _properties(message: Message) -> dict[str, Any]:
    kept = {"correlation_id", "reply_to", "priority", "delivery_mode", "message_id"}
    properties = {name: value for name, value in message.properties.items() if name in kept}
    return properties | {
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
    }
