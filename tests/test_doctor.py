"""The doctor: all is well, and then is broken in one way after the other."""

import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from kombu import Connection

from contracts import topology
from contracts.events import WorkerReport
from local.servers.broker import Broker
from local.servers.database import Database

from .support.api import Account
from .support.diagnosis import ask, diagnose
from .support.management import Management
from .support.polling import poll
from .support.stack import NOBODY, Stack, run
from .support.wire import Wire

CHECKS = [
    "settings", "database", "sessions", "clock", "migrations", "broker", "alarms", "topology",
    "queues", "processes", "outbox", "workers", "jobs", "mails", "tasks", "catalogue",
    "dead-letters",
]  # fmt: skip
WELL, ILL, WARNED = 0, 1, 3


@pytest.fixture(scope="module", autouse=True)
def _tidy(stack: Stack) -> None:
    """What other tests have left is theirs."""
    stack.heal()
    for leftover in (
        "DELETE FROM messaging_deadletter",
        "DELETE FROM messaging_worker",
        "DELETE FROM messaging_processlife",
        "UPDATE jobs_job SET state = 'failed' WHERE state IN ('queued', 'running')",
        "UPDATE mail_email SET state = 'failed' WHERE state IN ('queued', 'sending', 'retrying')",
    ):
        stack.execute(leftover)


@pytest.fixture
def well(healed: Stack) -> Stack:
    """A stack of which the doctor has nothing to say."""
    healed.poll(lambda: diagnose(healed), lambda found: found.status == WELL, "clean bill")
    return healed


def test_all_is_well(well: Stack) -> None:
    status, output = ask(well)
    lines = output.splitlines()
    assert status == WELL
    assert lines[-1] == "all is well"
    # Both services have a line of their own.
    assert list(dict.fromkeys(line.split()[1] for line in lines[:-1])) == CHECKS
    assert {line.split()[0] for line in lines[:-1]} == {"ok"}


def test_a_worker_that_is_missing_is_named_with_the_way_to_start_it(well: Stack) -> None:
    well.compute.stop()
    last_seen = "SET seen_at = seen_at - interval '1 minute' WHERE service = 'compute'"
    well.execute(f"UPDATE messaging_worker {last_seen}")
    found = diagnose(well, "queues", "workers")
    assert found.status == ILL
    assert "nobody takes from the queue compute" in found.problem("queues")["found"]
    assert "docker compose up -d compute" in found.problem("queues")["way_out"]
    assert "no worker of compute has reported" in found.problem("workers")["found"]


def test_a_collector_that_is_missing_is_named(well: Stack) -> None:
    well.collector.stop()
    queues = diagnose(well, "queues").of("queues", "problem")
    assert len(queues) == 2
    assert all("collector is not running" in found["found"] for found in queues)


@pytest.mark.parametrize("state", ["frozen", "stopped"])
@pytest.mark.parametrize("server", ["broker", "database"])
def test_a_server_that_is_away_holds_nothing_up(well: Stack, server: str, state: str) -> None:
    broken: Broker | Database = getattr(well, server)
    if state == "frozen":
        broken.pause()
    else:
        broken.stop()
    found = diagnose(well)
    assert found.status == ILL
    assert " cannot be used: " in found.problem(server)["found"]
    assert found.of("database" if server == "broker" else "broker", "ok")
    assert list(dict.fromkeys(each["check"] for each in found.findings)) == CHECKS


def test_both_servers_may_be_away(well: Stack) -> None:
    well.broker.stop()
    well.database.stop()
    found = diagnose(well)
    assert found.problem("broker")
    assert found.problem("database")
    assert found.of("settings", "ok")


def test_an_alarm_of_the_broker_is_told(well: Stack, management: Management) -> None:
    well.broker.raise_memory_alarm()
    try:
        poll(management.has_memory_alarm, what="alarm")
        found = diagnose(well, "alarms")
    finally:
        well.broker.clear_memory_alarm()
    assert found.status == ILL
    assert "takes no messages" in found.problem("alarms")["found"]


@pytest.fixture
def elsewhere(broker: Broker) -> Iterator[str]:
    """The address of a vhost with the topology, in which no process is."""
    vhost = f"doctor-{secrets.token_hex(4)}"
    url = broker.create_vhost(vhost)
    with Connection(url) as connection:
        topology.declare(connection)
    yield url
    broker.delete_vhost(vhost)


def test_a_queue_that_is_missing_is_named(stack: Stack, elsewhere: str) -> None:
    with Wire.open(elsewhere) as wire, wire.channel() as channel:
        channel.queue_delete("mailer")
    found = diagnose(stack, "topology", "queues", BROKER_URL=elsewhere)
    assert found.status == ILL
    assert found.problem("topology")["found"] == "queue 'mailer' is missing"
    assert "manage.py declare_topology" in found.problem("topology")["way_out"]
    assert "the queue mailer is missing" in [each["found"] for each in found.findings]


def test_a_queue_that_differs_is_named_with_what_differs(stack: Stack, elsewhere: str) -> None:
    other = dict(topology.task_queue("mailer").queue_arguments or {}) | {"x-delivery-limit": 9}
    with Wire.open(elsewhere) as wire, wire.channel() as channel:
        channel.queue_delete("mailer")
        channel.queue_declare("mailer", durable=True, auto_delete=False, arguments=other)
    found = diagnose(stack, "topology", BROKER_URL=elsewhere)
    assert "x-delivery-limit" in found.problem("topology")["found"]
    assert "empty and delete it" in found.problem("topology")["way_out"]


@pytest.fixture
def unapplied(stack: Stack) -> Iterator[str]:
    """A migration that the database does not know of."""
    stack.execute("UPDATE django_migrations SET app = 'hidden' WHERE app = 'mail'")
    yield "mail.0001_initial"
    stack.execute("UPDATE django_migrations SET app = 'mail' WHERE app = 'hidden'")


def test_a_migration_that_is_missing_is_named(stack: Stack, unapplied: str) -> None:
    found = diagnose(stack, "migrations").problem("migrations")
    assert unapplied in found["found"]
    assert "manage.py migrate" in found["way_out"]


def test_an_outbox_that_nobody_empties_is_told(well: Stack, user: Account) -> None:
    well.relay.stop()
    user.submit("add", x=1, y=2)
    found = well.poll(
        lambda: diagnose(well, "processes", "outbox", OUTBOX_LATE="0.1"),
        lambda seen: seen.of("outbox", "problem"),
        "late message",
    )
    assert "1 messages are due" in found.problem("outbox")["found"]
    assert "docker compose up -d relay" in found.problem("processes")["way_out"]


def test_a_dead_letter_is_a_warning_with_the_command_that_shows_it(well: Stack, wire: Wire) -> None:
    wire.publish(b"{}", "nobody.knows", {"id": "1", "task": "nobody.knows"})
    found = well.poll(
        lambda: diagnose(well), lambda seen: seen.of("dead-letters", "warning"), "dead letter"
    )
    assert found.status == WARNED
    (letter,) = found.of("dead-letters", "warning")
    assert "1 wait for a decision: unrouted" in letter["found"]
    shown = well.manage("dead_letters", "list", "--reason", "unrouted", check=True).stdout
    assert "nobody.knows" in shown
    well.manage("dead_letters", "discard", "--reason", "unrouted", "--yes", check=True)
    assert diagnose(well, "dead-letters").status == WELL


@pytest.fixture
def report(stack: Stack, wire: Wire) -> Iterator[Callable[[WorkerReport], None]]:
    """Report as a worker that is forgotten afterwards."""

    def send(made: WorkerReport) -> None:
        exchange = topology.results_name(made.service)
        wire.publish(msgspec.json.encode(made), made.routing_key, exchange=exchange)

    yield send
    stack.execute("DELETE FROM messaging_worker WHERE node = 'compute-1@elsewhere'")


def test_a_worker_with_a_wrong_clock_is_named(
    well: Stack, report: Callable[[WorkerReport], None]
) -> None:
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    report(
        WorkerReport(
            service="compute", worker="compute-1@elsewhere", at=an_hour_ago, holding=[], checks={}
        )
    )
    found = well.poll(
        lambda: diagnose(well, "workers"), lambda seen: seen.of("workers", "problem"), "report"
    )
    words = found.problem("workers")["found"]
    assert words.startswith("compute-1@elsewhere: its clock is 360")
    assert words.endswith("behind the database's")


@pytest.fixture
def without_mail_server(well: Stack) -> Iterator[Stack]:
    """A mailer that finds no mail server; it looks when it starts, and then each minute."""
    well.mailer.stop()
    well.smtp.shut()
    well.mailer.start()
    yield well
    well.mailer.stop()
    well.execute("DELETE FROM messaging_worker WHERE service = 'mailer'")


def test_a_mail_server_that_is_away_is_told_in_the_mailers_words(
    without_mail_server: Stack,
) -> None:
    well = without_mail_server
    found = well.poll(
        lambda: diagnose(well, "workers"), lambda seen: seen.of("workers", "problem"), "report"
    )
    assert "smtp: " in found.problem("workers")["found"]
    assert "SMTP_URL" in found.problem("workers")["way_out"]


def test_a_user_of_the_broker_who_may_do_little_is_told_whom_to_ask(well: Stack) -> None:
    few_rights = diagnose(well, "broker", "alarms", BROKER_URL=well.broker_urls["relay"])
    assert few_rights.of("broker", "ok")
    assert "may not publish" in few_rights.of("alarms", "unknown")[0]["found"]
    assert few_rights.status == ILL
    nobody = diagnose(well, "broker", BROKER_URL=NOBODY)
    assert "has no user" in nobody.of("broker", "unknown")[0]["found"]
    assert "run --rm --no-deps migrate" in nobody.of("broker", "unknown")[0]["way_out"]


def test_the_owner_of_the_topology_sees_everything(well: Stack) -> None:
    assert diagnose(well, BROKER_URL=well.broker_urls["topology"]).status == WELL


def test_a_wrong_password_is_told_but_not_shown(well: Stack) -> None:
    def spoilt(url: str) -> str:
        user, _, rest = url.partition("@")
        return f"{user.rpartition(':')[0]}:planted-password@{rest}"

    changes = {name: spoilt(well.environment[name]) for name in ("BROKER_URL", "DATABASE_URL")}
    status, output = ask(well, **changes)
    assert status == ILL
    assert "password authentication failed" in output
    assert "ACCESS_REFUSED" in output
    assert "planted-password" not in output


def test_settings_that_cannot_be_read_are_named(stack: Stack) -> None:
    ended = run(
        ["python", "services/web/manage.py", "doctor"], stack.environment | {"OUTBOX_LATE": "soon"}
    )
    assert ended.returncode == os.EX_CONFIG
    assert "OUTBOX_LATE='soon' is wrong" in ended.stderr
