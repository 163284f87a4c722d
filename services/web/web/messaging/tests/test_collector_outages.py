"""The collector while what it needs is away, and after whatever can be in its queues."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
from django.db import DatabaseError, connection
from kombu import Connection
from psycopg import sql

from contracts import topology
from contracts.events import TaskState
from local.servers.broker import Broker
from tests.support.polling import poll
from web.jobs.models import Job
from web.jobs.tests.factories import event
from web.messaging.inbox.collector import collect
from web.messaging.letters import dead_letters
from web.messaging.outbox.relay import relay
from web.messaging.processes.lifecycle import is_outage
from web.messaging.tests.arriving import publish, succeed
from web.messaging.tests.running import running

RELAY = partial(relay, park=dead_letters.park)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses between two attempts to connect."""
    monkeypatch.setattr("web.messaging.processes.lifecycle.LONGEST_DELAY", 0.25)


@pytest.mark.parametrize("queue", ["web.results", "web.dead"])
def test_a_queue_that_was_deleted_is_waited_for(amqp: Connection, job: Job, queue: str) -> None:
    with running(collect) as work:
        with amqp.channel() as opened:
            channel: Any = opened
            channel.queue_delete(queue)
        work.hear("interrupted", f"queue '{queue}' is missing")
        topology.declare(amqp)
        succeed(amqp, job)


def test_a_permission_that_was_taken_away_is_waited_for(
    amqp: Connection, broker: Broker, job: Job
) -> None:
    permissions = f"permissions/{amqp.virtual_host}/{broker.settings.user}"
    with running(collect) as work:
        broker._manage("PUT", permissions, dict.fromkeys(("configure", "write", "read"), "^$"))
        broker.drop_connections()
        work.hear("interrupted", "ACCESS_REFUSED")
        broker._manage("PUT", permissions, dict.fromkeys(("configure", "write", "read"), ".*"))
        amqp.collect()
        succeed(amqp, job)


def test_a_broker_that_was_frozen_is_found_again_by_who_only_listens(
    amqp: Connection, broker: Broker, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.messaging.broker.connection.HEARTBEAT", 3)
    with running(collect) as work:
        broker.pause()
        try:
            work.hear("interrupted", "heartbeats missed")
        finally:
            broker.resume()
        amqp.collect()
        succeed(amqp, job)


@pytest.fixture
def read_only() -> Iterator[None]:
    """A database that takes nothing, as a standby does that nobody has promoted."""
    name = sql.Identifier(connection.settings_dict["NAME"])
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def set_(value: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
            statement = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = ").format(
                name
            )
            cursor.execute(statement + sql.SQL(value))
            cursor.execute(others)

    set_("on")
    yield
    set_("off")


@pytest.mark.usefixtures("quick")
def test_a_database_that_takes_nothing_costs_no_result(
    amqp: Connection, job: Job, request: pytest.FixtureRequest
) -> None:
    publish(amqp, msgspec.json.encode(event(job.id, TaskState.SUCCESS)))
    request.getfixturevalue("read_only")
    with running(collect) as work:
        work.hear("interrupted", "read-only", times=3)
        assert not work.said("message refused")
        assert Job.objects.get().state == "queued"


@pytest.mark.parametrize(
    ("sqlstate", "outage"),
    [
        ("53100", True),  # disk_full
        ("53200", True),  # out_of_memory
        ("53300", True),  # too_many_connections
        ("57P01", True),  # admin_shutdown
        ("57P03", True),  # cannot_connect_now
        ("25006", True),  # read_only_sql_transaction
        ("42P01", True),  # undefined_table: not migrated yet
        ("42501", True),  # insufficient_privilege
        ("40P01", True),  # deadlock_detected
        ("54001", False),  # statement_too_complex: a value that is nested too deeply
        ("22P05", False),  # untranslatable_character
        ("23514", False),  # check_violation
        ("XX000", False),  # internal_error: a value that is too large
    ],
)
def test_a_server_that_fails_is_told_from_a_value_that_it_refuses(
    sqlstate: str, outage: bool
) -> None:
    with connection.cursor() as cursor, pytest.raises(DatabaseError) as raised:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION SQLSTATE '{sqlstate}'; END $$")
    assert is_outage(raised.value) is outage


@pytest.mark.usefixtures("quick")
def test_interruptions_leave_no_connection_behind(
    amqp: Connection, broker: Broker, job: Job
) -> None:
    with running(RELAY), running(collect) as work:  # the later log has what both say
        before = at_database()
        for count in range(1, 9):
            broker.drop_connections()
            work.hear("collector connected", times=count + 1)
            work.hear("relay connected", times=count)
        amqp.collect()
        succeed(amqp, job)
        amqp.collect()
        poll(lambda: at_broker(broker, amqp.virtual_host) == 2, what="end of the old connections")
        assert at_database() <= before
    poll(lambda: at_broker(broker, amqp.virtual_host) == 0, what="end of all connections")


def at_broker(broker: Broker, vhost: str) -> int:
    url = f"{broker.settings.management_url}vhosts/{vhost}/connections"
    return len(httpx.get(url, trust_env=False).raise_for_status().json())


def at_database() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
