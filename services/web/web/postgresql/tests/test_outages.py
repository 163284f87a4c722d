"""The database goes away in every way; what is asked of it fails soon, and works again after."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from psycopg_pool import ConnectionPool
from pytest_django import Settings

from local.servers.database import Database
from tests.support.polling import poll
from web.postgresql import connection as patient
from web.postgresql import outage as outages
from web.postgresql.base import DatabaseWrapper
from web.postgresql.outage import Outage, outage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    outage.end()


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Let this process have one connection and no other."""
    limit = f'ALTER DATABASE "{connection.settings_dict["NAME"]}" CONNECTION LIMIT {{}}'
    connection.close()
    DatabaseWrapper(connection.settings_dict, connection.alias).close_pool()
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        poll(lambda: not others(other), what="end of the connections that were closed")
        other.execute(limit.format(2))  # one of them is this one
        yield
        other.execute(limit.format(-1))


@pytest.fixture
def all_have_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every connection be one that answered a moment ago."""
    monkeypatch.setattr(patient, "RECENT", 3600.0)
    monkeypatch.setattr(patient.PatientConnection, "_answered_at", time.monotonic())


def others(connected: psycopg.Connection) -> list[Any]:
    """Connections to the test's database, but this one; some may be about to end."""
    query = (
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return connected.execute(query).fetchall()


def ask() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 42")
        return cursor.fetchone()[0]


def answers() -> bool:
    try:
        return bool(ask() == 42)
    except OperationalError:
        outage.end()
        return False


def terminate_all() -> None:
    """End every connection to the test's database, as a restart of the server does."""
    parameters = connection.get_connection_params()
    with psycopg.connect(**parameters, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_statement_that_a_frozen_server_leaves_unanswered_is_given_up(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATABASE_STATEMENT_TIMEOUT = 0.1
    monkeypatch.setattr(patient, "MARGIN", 0.1)
    ask()
    database.pause()
    try:
        with pytest.raises(OperationalError, match="no answer from the database"):
            ask()
        assert outage.known
    finally:
        database.resume()
    connection.close()
    outage.end()
    assert ask() == 42


def test_a_frozen_server_is_noticed_before_a_statement_is_sent(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "CHECK", 0.1)
    monkeypatch.setattr(patient, "RECENT", 0.0)
    ask()
    connection.close()  # back to the pool
    database.pause()
    try:
        with pytest.raises(OperationalError, match="no connection to the database"):
            ask()
    finally:
        database.resume()
    outage.end()
    assert ask() == 42


@pytest.mark.usefixtures("all_have_answered")
def test_a_connection_that_answered_a_moment_ago_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(ConnectionPool, "check_connection", asked.append)
    assert ask() == 42
    assert not asked


@pytest.mark.usefixtures("all_have_answered")
def test_a_connection_that_was_ended_a_moment_ago_is_not_used() -> None:
    for _ in range(3):
        assert ask() == 42
        connection.close()
        terminate_all()
    assert ask() == 42


@pytest.mark.usefixtures("all_have_answered")
def test_a_frozen_server_that_answered_a_moment_ago_is_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.DATABASE_STATEMENT_TIMEOUT = 0.1
    monkeypatch.setattr(patient, "MARGIN", 0.1)
    ask()
    connection.close()
    database.pause()
    try:
        with pytest.raises(OperationalError, match="no answer from the database"):
            ask()
        connection.close()
        with pytest.raises(OperationalError, match="away a moment ago"):
            ask()
    finally:
        database.resume()
    outage.end()
    assert ask() == 42


def test_nobody_waits_for_a_server_that_is_known_to_be_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "PAUSE", 3600)
    ask()
    connection.close()
    database.stop()
    try:
        # Which of the two depends on whether the pool has noticed first.
        with pytest.raises(OperationalError, match=r"no connection to the database|moment ago"):
            ask()
        with pytest.raises(OperationalError, match="away a moment ago"):
            ask()
    finally:
        database.start()
    monkeypatch.undo()
    outage.end()
    assert ask() == 42


def test_a_restart_that_nobody_saw_costs_no_request() -> None:
    pool = DatabaseWrapper(connection.settings_dict, connection.alias).pool
    held = [pool.getconn(timeout=10) for _ in range(5)]
    for each in held:
        pool.putconn(each)
    connection.close()
    terminate_all()
    assert [ask() for _ in range(3)] == [42, 42, 42]


def test_a_server_without_room_for_another_connection_goes_on_with_those_it_has(
    one_connection: None,
) -> None:
    poll(answers, what="connection in the place of one that was just closed")
    refused: list[BaseException] = []

    def need_another() -> None:
        try:
            ask()
        except OperationalError as error:
            refused.append(error)

    thread = threading.Thread(target=need_another)
    thread.start()
    thread.join()
    assert refused
    assert ask() == 42  # and so it is no outage
    connection.close()
    assert ask() == 42


def test_one_caller_at_a_time_looks_whether_an_outage_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr("web.postgresql.outage.time.monotonic", lambda: clock[0])
    known = Outage()
    assert [known.may_try(), known.may_try()] == [True, True]
    known.begin()
    assert not known.may_try()
    clock[0] += outages.PAUSE
    assert [known.may_try(), known.may_try()] == [True, False]
    known.end()
    assert [known.may_try(), known.may_try()] == [True, True]


def test_a_statement_that_the_server_is_busy_with_is_its_own_to_end() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 50")
        with pytest.raises(OperationalError, match="statement timeout"):
            cursor.execute("SELECT pg_sleep(60)")
        cursor.execute("RESET statement_timeout")
    assert not outage.known


def test_silence_while_listening_is_no_outage() -> None:
    with patient.PatientConnection.connect(
        **connection.get_connection_params(), autocommit=True
    ) as listening:
        listening.execute("LISTEN nothing")
        assert list(listening.notifies(timeout=0.05)) == []
        assert listening.execute("SELECT 1").fetchone() == (1,)
    assert not outage.known


def test_waiting_for_a_connection_ends_when_one_is_given_back() -> None:
    size = connection.settings_dict["OPTIONS"]["pool"]["max_size"]
    wrapper = DatabaseWrapper(connection.settings_dict, connection.alias)
    connection.close()
    held = [wrapper.pool.getconn(timeout=10) for _ in range(size)]
    giving_back = threading.Timer(0.6, wrapper.pool.putconn, [held.pop()])
    giving_back.start()
    try:
        assert ask() == 42  # after more than one look of the pool's
    finally:
        giving_back.join()
        connection.close()
        for each in held:
            wrapper.pool.putconn(each)
