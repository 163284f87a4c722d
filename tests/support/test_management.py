"""What the tests' operator can do to a vhost, on a queue like Warren's own."""

import secrets
from collections.abc import Iterator
from dataclasses import replace

import amqp
import pytest
from kombu import Queue

from local.servers.broker import Broker
from local.settings import Settings

from . import broker_users
from .management import Management, QueueFigures
from .polling import poll
from .wire import Wire

VHOST = "operated.by/tests"
ALL = {"configure": ".*", "write": ".*", "read": ".*"}


@pytest.fixture
def url(broker: Broker) -> Iterator[str]:
    yield broker.create_vhost(VHOST)
    broker.delete_vhost(VHOST)


@pytest.fixture
def operator(installation: Settings, url: str) -> Iterator[Management]:
    management = Management(installation.broker.management_url, VHOST)
    yield management
    management.close()


@pytest.fixture
def wire(url: str) -> Iterator[Wire]:
    with Wire.open(url) as wire:
        arguments = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
        Queue("some.queue", queue_arguments=arguments)(wire.connection.channel()).declare()
        yield wire


@pytest.fixture
def guest(operator: Management, broker: Broker) -> Iterator[str]:
    """The address of a user who may do everything in the vhost."""
    name, password = f"guest.{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    operator.put(f"users/{name}", {"password": password, "tags": ""})
    operator.permit(name, ALL)
    yield replace(broker.settings, user=name, password=password).url(VHOST)
    operator.delete(f"users/{name}")


def user_of(url: str) -> str:
    return url.partition("//")[2].partition(":")[0]


def publish(wire: Wire) -> None:
    with wire.channel() as channel:
        channel.basic_publish_confirm(amqp.Message("x"), exchange="", routing_key="some.queue")


def test_a_queue_is_counted_emptied_and_deleted(operator: Management, wire: Wire) -> None:
    publish(wire)
    publish(wire)
    with wire.channel() as channel:
        channel.basic_qos(prefetch_size=0, prefetch_count=1, a_global=False)
        channel.basic_consume("some.queue")
        poll(
            lambda: operator.queues().get("some.queue"),
            lambda queue: queue == QueueFigures(ready=1, unacknowledged=1, consumers=1),
            what="count of the messages",
        )
    operator.purge_queue("some.queue")
    assert wire.waiting("some.queue") == 0
    operator.delete_queue("some.queue")
    with pytest.raises(amqp.NotFound):
        wire.waiting("some.queue")


def test_a_limited_queue_refuses_messages_until_it_is_unlimited(
    operator: Management, wire: Wire
) -> None:
    operator.limit_queue("some.queue", 1)

    def refused() -> bool:
        try:
            publish(wire)
        except amqp.exceptions.MessageNacked:
            return True
        return False

    poll(refused, what="refusal")  # the policy takes effect a moment later, and so does its end
    operator.unlimit_queue("some.queue")
    poll(lambda: not refused(), what="accepted message")


def test_who_is_forbidden_everything_feels_it_with_its_next_connection(
    operator: Management, guest: str, wire: Wire
) -> None:
    user = user_of(guest)
    with Wire.open(guest) as connected:
        publish(connected)
        operator.forbid(user)
        assert operator.permissions(user) is None
        operator.drop_connections(user)
        with pytest.raises(amqp.ConnectionForced):
            connected.connection.drain_events(timeout=10)
    with pytest.raises(amqp.NotAllowed), Wire.open(guest):
        pass
    operator.permit(user, ALL)
    assert operator.permissions(user) == ALL
    with Wire.open(guest) as again:
        publish(again)


def test_connections_are_told_by_their_user(operator: Management, guest: str) -> None:
    with Wire.open(guest):
        poll(
            lambda: [connection.get("user") for connection in operator.connections()],
            lambda users: users == [user_of(guest)],
            what="connection",
        )


def test_users_that_a_node_has_lost_are_restored(
    operator: Management, guest: str, wire: Wire
) -> None:
    accounts = broker_users.accounts(operator)
    operator.delete(f"users/{user_of(guest)}")
    broker_users.restore(operator, accounts)
    with Wire.open(guest) as restored:
        publish(restored)


def test_the_nodes_memory_is_known(operator: Management) -> None:
    assert operator.memory() > 10_000_000
