"""What each user of the broker may read and write, by trying it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from amqp import Message
from amqp.exceptions import AccessRefused
from kombu import Connection

from contracts import topology

QUEUES = tuple(queue.name for queue in topology.QUEUES)
EXCHANGES = (*(exchange.name for exchange in topology.EXCHANGES), "", "amq.topic")
OWNERS = ("topology", "reconciler")  # of the topology: once at deployment, and ever after
USERS = (*OWNERS, "relay", "collector", *topology.SERVICES, "flower", "monitoring")
READS = {
    # They bind them, for which RabbitMQ asks for both rights.
    **{owner: set(QUEUES) for owner in OWNERS},
    "collector": {"web.results", "web.dead"},
    **{service: {topology.queue_name(service)} for service in topology.SERVICES},
}
# The nameless exchange leads to every queue: an operator's replay may need it.
WRITES = {
    **{owner: {exchange.name for exchange in topology.EXCHANGES} for owner in OWNERS},
    "relay": {"warren.tasks", "", *(f"warren.results.{each}" for each in topology.SERVICES)},
    **{service: {f"warren.results.{service}"} for service in topology.SERVICES},
}

Action = Callable[[Any], object]  # what kombu's stubs know of a channel is not enough here


def allowed(connection: Connection, action: Action) -> bool:
    """Whether the broker lets a user do something on a channel of its own."""
    channel: Any = connection.channel()
    try:
        action(channel)
    except AccessRefused:
        return False
    channel.close()
    return True


def connect(url: str) -> Connection:
    """Make a connection on which the broker confirms what is published."""
    return Connection(url, transport_options={"confirm_publish": True})


def reading(queue: str) -> Action:
    """Take a message, which goes back when the channel closes."""
    return lambda channel: channel.basic_get(queue)


def publishing(exchange: str, routing_key: str) -> Action:
    """Publish a message without meaning."""

    def publish(channel: Any) -> None:
        channel.basic_publish(Message(b"{}"), exchange=exchange, routing_key=routing_key)

    return publish


def readable(url: str, queues: Iterable[str] = QUEUES) -> set[str]:
    """Those queues from which a user may read; what it reads goes back."""
    with connect(url) as connection:
        return {queue for queue in queues if allowed(connection, reading(queue))}


def writable(url: str, user: str, exchanges: Iterable[str] = EXCHANGES) -> set[str]:
    """Those exchanges to which a user may publish; it does so."""
    with connect(url) as connection:
        return {name for name in exchanges if allowed(connection, publishing(name, f"{user}.test"))}


def excesses(addresses: Mapping[str, str]) -> list[str]:
    """What users may do beyond what is theirs; nothing else is tried, so nothing is disturbed."""
    found = []
    for user in USERS:
        queues = {*QUEUES} - READS.get(user, set())
        exchanges = {*EXCHANGES} - WRITES.get(user, set())
        read = readable(addresses[user], queues)
        written = writable(addresses[user], user, exchanges)
        found += [f"{user} may read the queue {name}" for name in read]
        found += [f"{user} may write to the exchange {name!r}" for name in written]
    return sorted(found)
