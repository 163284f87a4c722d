"""Each process's user of the broker may do what the process does, and nothing else."""

import json
import re
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from kombu import Connection, Exchange, Queue

from contracts import topology
from local.servers.broker import Broker

from .support import broker_users
from .support.management import RIGHTS, Management
from .support.privileges import (
    OWNERS,
    READS,
    USERS,
    WRITES,
    allowed,
    connect,
    excesses,
    readable,
    writable,
)
from .support.stack import Stack
from .support.wire import Wire


@pytest.fixture(scope="module")
def addresses(broker: Broker, management: Management) -> Iterator[dict[str, str]]:
    """A vhost with the topology; each user's address of it."""
    vhost = f"users-{secrets.token_hex(4)}"
    with Wire.open(broker.create_vhost(vhost)) as wire:
        topology.declare(wire.connection)
        wire.declare_celery()
    yield broker_users.create(broker.settings, management, vhost)
    broker.delete_vhost(vhost)


@pytest.mark.parametrize("user", USERS)
def test_each_user_reads_its_own_queues_alone(addresses: dict[str, str], user: str) -> None:
    assert readable(addresses[user]) == READS.get(user, set())


@pytest.mark.parametrize("user", USERS)
def test_each_user_writes_where_its_process_writes(addresses: dict[str, str], user: str) -> None:
    assert writable(addresses[user], user) == WRITES.get(user, set())


@pytest.mark.parametrize("user", sorted({*USERS} - {*OWNERS}))
def test_only_the_topologys_owners_declare_and_delete(addresses: dict[str, str], user: str) -> None:
    own = Queue("celery", Exchange("warren.tasks", no_declare=True), "#")
    with connect(addresses[user]) as user_connection:
        may = partial(allowed, user_connection)
        assert not may(lambda channel: channel.queue_delete("compute"))
        assert not may(lambda channel: channel.queue_purge("mailer")) or user == "mailer"
        assert not may(lambda channel: channel.exchange_delete("warren.tasks"))
        assert not may(lambda channel: channel.queue_declare("mine"))
        assert not may(lambda channel: own(channel).declare())


def test_a_worker_reports_for_its_own_service_alone_whatever_was_deleted_and_declared_again(
    addresses: dict[str, str],
) -> None:
    with Connection(addresses["reconciler"]) as owner:
        channel: Any = owner.default_channel
        for exchange in topology.EXCHANGES:
            channel.exchange_delete(exchange.name)
        topology.restore(owner)
    for user in topology.SERVICES:
        assert writable(addresses[user], user) == WRITES[user]


def test_a_right_too_many_is_found_and_nothing_else(
    broker: Broker, addresses: dict[str, str]
) -> None:
    assert excesses(addresses) == []
    name, vhost = urlsplit(addresses["mailer"]).username, urlsplit(addresses["mailer"]).path[1:]
    assert name
    management = Management(broker.settings.management_url, vhost)
    rights = management.permissions(name)
    assert rights
    management.permit(
        name, rights | {"write": "^warren[.]results[.]", "read": "^(mailer|web[.]dead)$"}
    )
    try:
        assert excesses(addresses) == [
            "mailer may read the queue web.dead",
            "mailer may write to the exchange 'warren.results.compute'",
            "mailer may write to the exchange 'warren.results.tasks'",
        ]
    finally:
        management.permit(name, rights)
        management.close()


def test_no_wall_hangs_on_what_can_be_deleted() -> None:
    definitions = json.loads(broker_users.DEFINITIONS.read_text())
    # From RabbitMQ 4.3 on topic permissions are gone with their exchange.
    assert set(definitions) == {"vhosts", "users", "permissions"}


LOOKS: dict[str, tuple[topology.Entity, ...]] = {
    "relay": topology.OF_RELAY,
    "collector": topology.OF_COLLECTOR,
    "reconciler": (*topology.EXCHANGES, *topology.QUEUES),
    **{service: topology.of_worker(service) for service in topology.SERVICES},
}


@pytest.mark.parametrize("user", LOOKS)
def test_each_process_looks_only_at_what_its_user_may_see(user: str) -> None:
    """From RabbitMQ 4.3.1 on, that is what it has any permission on."""
    granted = json.loads(broker_users.DEFINITIONS.read_text())["permissions"]
    [rights] = [grant for grant in granted if grant["user"] == user]
    seen = [entity.name for entity in (*LOOKS[user], topology.marker())]
    patterns = [rights[right] for right in RIGHTS]
    assert [name for name in seen if not any(re.search(each, name) for each in patterns)] == []


def test_no_start_of_a_process_leaves_a_refusal_in_the_brokers_log(stack: Stack) -> None:
    processes = [process.twin("quiet") for process in stack.plain if process != stack.web]
    before = stack.broker.log.stat().st_size
    for process in (*processes, stack.flower):
        process.start()
        process.stop()
    with stack.broker.log.open("rb") as log:
        log.seek(before)
        written = log.read().decode()
    assert [line for line in written.splitlines() if "access_refused" in line] == []
    for name in (*LOOKS, "flower"):  # else it would be another log, or another level
        assert f"user '{urlsplit(stack.broker_urls[name]).username}'" in written


def test_only_relay_and_flower_send_commands_to_the_workers(addresses: dict[str, str]) -> None:
    assert {user for user in USERS if writable(addresses[user], user, ["celery.pidbox"])} == {
        "relay", "flower"
    }  # fmt: skip


def test_only_flower_listens_to_events(addresses: dict[str, str]) -> None:
    events = Queue("celeryev.test", Exchange("celeryev", no_declare=True), "#", exclusive=True)

    def listens(user: str) -> bool:
        with connect(addresses[user]) as connection:
            return allowed(connection, lambda channel: events(channel).declare())

    assert {user for user in USERS if listens(user)} == {"flower"}


def test_a_user_for_every_process_passes_the_check_of_the_topology(
    addresses: dict[str, str],
) -> None:
    for user, uses in LOOKS.items():
        with Connection(addresses[user]) as connection:
            topology.check(connection, uses)
