"""What PostgreSQL is asked, and how its answers are judged."""

import psycopg
import pytest
from django.db import connection

from web.ops.doctor import database
from web.ops.doctor.finding import Level


@pytest.mark.django_db(transaction=True)
def test_a_sound_database_is_well() -> None:
    (server,) = database.look_at_server()
    assert server.level == Level.OK
    assert "connections" in server.found
    assert [finding.level for finding in database.look_at_clock()] == [Level.OK]
    assert [finding.level for finding in database.look_at_migrations()] == [Level.OK]


@pytest.mark.django_db(transaction=True)
def test_too_few_connections_left_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CROWDED", 0.001)
    assert [finding.level for finding in database.look_at_server()] == [Level.WARNING]


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_stays_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.level for finding in database.look_at_sessions()] == [Level.OK]
    monkeypatch.setattr(database, "LONG_SECONDS", 0)
    with psycopg.connect(**connection.get_connection_params()) as forgotten:
        forgotten.execute("SELECT 1")
        pid = forgotten.info.backend_pid
        found = [each for each in database.look_at_sessions() if str(pid) in each.found]
    assert [finding.level for finding in found] == [Level.WARNING]
    assert "idle in transaction" in found[0].found
    assert f"pg_terminate_backend({pid})" in found[0].way_out


@pytest.mark.parametrize(
    ("theirs", "level", "words"),
    [
        (1000.0, Level.OK, "within 0.1 s"),
        (1004.0, Level.OK, "within 4.0 s"),
        (400.0, Level.PROBLEM, "600 s before the database's"),
        (4600.0, Level.PROBLEM, "3600 s behind the database's"),
    ],
)
def test_clocks_may_differ_by_seconds(theirs: float, level: Level, words: str) -> None:
    finding = database.judge_clock(theirs, 1000.0, 1000.0)
    assert finding.level == level
    assert words in finding.found


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert database.judge_clock(1000.0, 1000.0, 1016.0).level == Level.OK
