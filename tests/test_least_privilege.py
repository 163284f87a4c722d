"""Each process's user of the broker may do what the process does, and nothing else."""

import secrets
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest
from amqp.exceptions import AccessRefused
from kombu import Connection, Exchange, Queue

from contracts import topology
from local.broker import Broker

from . import broker_users
from .management import Management
from .wire import Wire

QUEUES = tuple(queue.name for queue in topology.QUEUES)
EXCHANGES = (*(exchange.name for exchange in topology.EXCHANGES), "", "amq.topic")
OWNERS = ("topology", "reconciler")  # of the topology: once at deployment, and ever after
USERS = (*OWNERS, "relay", "collector", *topology.SERVICES, "flower", "monitoring")
READS = {
    # They bind them, for which RabbitMQ asks for both rights.
    **{owner: set(QUEUES) for owner in OWNERS},
    "collector": {"web.results", "web.dead"},
    **{service: {service} for service in topology.SERVICES},
}
# The nameless exchange leads to every queue: an operator's replay may need it.
WRITES = {
    **{owner: {exchange.name for exchange in topology.EXCHANGES} for owner in OWNERS},
    "relay": {"warren.tasks", "warren.results", ""},
    **{service: {"warren.results"} for service in topology.SERVICES},
}


@pytest.fixture(scope="module")
def addresses(broker: Broker, management: Management) -> Iterator[dict[str, str]]:
    """A vhost with the topology; each user's address of it."""
    vhost = f"users-{secrets.token_hex(4)}"
    with Wire.open(broker.create_vhost(vhost)) as wire:
        topology.declare(wire.connection)
        wire.declare_celery()
    yield broker_users.create(broker.settings, management, vhost)
    broker.delete_vhost(vhost)


Action = Callable[[Any], object]  # what kombu's stubs know of a connection is not enough here


def allowed(url: str, action: Action) -> bool:
    """Whether the broker lets a user do something."""
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        try:
            action(connection)
        except AccessRefused:
            return False
    return True


def reading(queue: str) -> Action:
    return lambda connection: connection.default_channel.basic_get(queue)


def publishing(exchange: str, routing_key: str) -> Action:
    def publish(connection: Connection) -> None:
        with connection.Producer(auto_declare=False) as producer:
            producer.publish(b"{}", exchange=exchange, routing_key=routing_key)

    return publish


@pytest.mark.parametrize("user", USERS)
def test_each_user_reads_its_own_queues_alone(addresses: dict[str, str], user: str) -> None:
    readable = {queue for queue in QUEUES if allowed(addresses[user], reading(queue))}
    assert readable == READS.get(user, set())


@pytest.mark.parametrize("user", USERS)
def test_each_user_writes_where_its_process_writes(addresses: dict[str, str], user: str) -> None:
    key = f"{user}.test"
    writable = {name for name in EXCHANGES if allowed(addresses[user], publishing(name, key))}
    assert writable == WRITES.get(user, set())


@pytest.mark.parametrize("user", sorted({*USERS} - {*OWNERS}))
def test_only_the_topologys_owners_declare_and_delete(addresses: dict[str, str], user: str) -> None:
    url = addresses[user]
    assert not allowed(url, lambda c: c.default_channel.queue_delete("compute"))
    assert not allowed(url, lambda c: c.default_channel.queue_purge("mailer")) or user == "mailer"
    assert not allowed(url, lambda c: c.default_channel.exchange_delete("warren.tasks"))
    assert not allowed(url, lambda c: c.default_channel.queue_declare("mine"))
    own = Queue("celery", Exchange("warren.tasks", no_declare=True), "#")
    assert not allowed(url, lambda c: own(c.default_channel).declare())


@pytest.mark.parametrize(("user", "other"), permutations(topology.SERVICES, 2))
def test_a_worker_reports_on_its_own_tasks_alone(
    addresses: dict[str, str], user: str, other: str
) -> None:
    assert allowed(addresses[user], publishing("warren.results", f"{user}.run.success"))
    assert not allowed(addresses[user], publishing("warren.results", f"{other}.run.success"))


def test_only_relay_and_flower_send_commands_to_the_workers(addresses: dict[str, str]) -> None:
    command = publishing("celery.pidbox", "")
    assert {user for user in USERS if allowed(addresses[user], command)} == {"relay", "flower"}


def test_only_flower_listens_to_events(addresses: dict[str, str]) -> None:
    events = Queue("celeryev.test", Exchange("celeryev", no_declare=True), "#", exclusive=True)

    def listen(connection: Connection) -> None:
        events(connection.default_channel).declare()

    assert {user for user in USERS if allowed(addresses[user], listen)} == {"flower"}


def test_a_user_for_every_process_passes_the_check_of_the_topology(
    addresses: dict[str, str],
) -> None:
    for user in ("relay", "collector", "reconciler", *topology.SERVICES):
        with Connection(addresses[user]) as connection:
            topology.check(connection)
