"""The collector while what it needs is away, and after whatever can be in its queues."""

import json
import random
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from django.db import DatabaseError, connection
from kombu import Connection
from psycopg import sql

from contracts import topology
from contracts.results import TaskState
from local.broker import Broker
from web.jobs.models import Job
from web.jobs.tests.factories import event, make_job, make_user
from web.messaging.collector import collect
from web.messaging.lifecycle import is_outage
from web.messaging.models import DeadLetter
from web.messaging.relay import relay
from web.messaging.tests.running import poll, running

pytestmark = pytest.mark.django_db(transaction=True)
BODIES = 3000
SEED = 20_261


@pytest.fixture
def job() -> Job:
    return make_job(make_user())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses between two attempts to connect."""
    monkeypatch.setattr("web.messaging.lifecycle.LONGEST_DELAY", 0.25)


def publish(amqp: Connection, *bodies: bytes, exchange: str = "warren.results") -> None:
    producer = amqp.Producer(auto_declare=False)
    for body in bodies:
        producer.publish(
            body,
            exchange=exchange,
            routing_key="compute.run.success",
            content_type="application/json",
            content_encoding="utf-8",
        )


def succeed(amqp: Connection, job: Job) -> None:
    """Report a success, and wait until the job shows it."""
    publish(amqp, msgspec.json.encode(event(job.id, TaskState.SUCCESS)))
    poll(lambda: Job.objects.get(pk=job.pk).state == "succeeded", "success")


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
    with running(relay), running(collect) as work:  # the later log has what both say
        before = at_database()
        for count in range(1, 21):
            broker.drop_connections()
            work.hear("collector connected", times=count + 1)
            work.hear("relay connected", times=count)
        amqp.collect()
        succeed(amqp, job)
        amqp.collect()
        poll(lambda: at_broker(broker, amqp.virtual_host) == 2, "end of the old connections")
        assert at_database() <= before
    poll(lambda: at_broker(broker, amqp.virtual_host) == 0, "end of all connections")


def at_broker(broker: Broker, vhost: str) -> int:
    url = f"{broker.settings.management_url}vhosts/{vhost}/connections"
    return len(httpx.get(url, trust_env=False).raise_for_status().json())


def at_database() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def anything(chance: random.Random) -> bytes:
    """A body as it may be, from noise to what is nearly a result."""
    kind = chance.randrange(5)
    if kind == 0:
        return chance.randbytes(chance.randrange(200))
    if kind == 1:
        return json.dumps(value(chance, 4)).encode()
    result = json.loads(msgspec.json.encode(event(uuid4(), chance.choice(list(TaskState)))))
    del result[chance.choice(list(result))]
    if kind == 2:
        return json.dumps(result | {"task_id": value(chance, 2)}).encode()
    text = bytearray(json.dumps(result | {"attempt": None}).encode())
    if kind == 3:
        text[chance.randrange(len(text))] = chance.randrange(256)
        return bytes(text)
    return bytes(text[: chance.randrange(len(text))])


def value(chance: random.Random, levels: int) -> Any:
    """Some value of JSON."""
    if levels and chance.random() < 0.5:
        values = [value(chance, levels - 1) for _ in range(chance.randrange(4))]
        return values if chance.random() < 0.5 else {str(v): v for v in values}
    return chance.choice([None, True, -1, 2**70, 1e300, "", "a\0b", "\ud800", "é" * 50])


def test_random_bodies_become_dead_letters_one_each(amqp: Connection, job: Job) -> None:
    chance = random.Random(SEED)  # noqa: S311
    results = [anything(chance) for _ in range(BODIES)]
    dead = [anything(chance) for _ in range(BODIES)]
    publish(amqp, *results)
    publish(amqp, *dead, exchange="warren.dead")
    with running(collect) as work:
        succeed(amqp, job)
        poll(lambda: DeadLetter.objects.count() == 2 * BODIES, "dead letters", work.log)
        assert not work.said("interrupted")
    assert DeadLetter.objects.filter(queue="web.results").count() == BODIES
    kept = {bytes(body) for body in DeadLetter.objects.values_list("body", flat=True)}
    assert kept == {*results, *dead}


def test_the_largest_bodies_are_taken_a_few_at_a_time(amqp: Connection, job: Job) -> None:
    deep = b"[" * 2_500_000 + b"]" * 2_500_000
    wide = b"[" + b"1," * 2_500_000 + b"1]"
    started = msgspec.json.encode(event(job.id, TaskState.STARTED))
    inside = started[:-1] + b',"result":' + deep + b"}"
    publish(amqp, deep, wide, inside, deep, wide, inside)
    with running(collect) as work:
        succeed(amqp, job)
        assert work.alive
    assert DeadLetter.objects.filter(reason="malformed").count() == 6
