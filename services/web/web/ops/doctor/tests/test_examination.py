"""How checks run: each on its own, and none holds up the others."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest
from django.db import OperationalError
from psycopg.errors import LockNotAvailable

from web.ops.doctor import examination
from web.ops.doctor.examination import Check, Server, examine
from web.ops.doctor.finding import Finding, Level, well

WELL = Check("well", lambda: [well("as it should be")])


def levels(*checks: Check, seconds: float = 60) -> list[Level]:
    return [each.findings[0].level for each in examine(checks, seconds)]


def refused() -> Iterator[Finding]:
    raise OperationalError("connection refused")
    yield well("never")


def ask(asked: list[str]) -> Iterator[Finding]:
    asked.append("other")
    yield well("there")


def locked() -> Iterator[Finding]:
    raise OperationalError("a lock") from LockNotAvailable("a lock")
    yield well("never")


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    """A check of the broker that never ends by itself."""
    monkeypatch.setattr(examination, "CHECK_SECONDS", 0.05)
    thawed = threading.Event()
    yield Check("frozen", lambda: [well(str(thawed.wait()))], Server.BROKER)
    thawed.set()


def test_a_check_that_hangs_is_a_problem_and_the_next_is_looked_at(frozen: Check) -> None:
    first, second = examine([frozen, WELL])
    assert first.findings[0].level == Level.PROBLEM
    assert first.findings[0].found.startswith("RabbitMQ cannot be used: it does not answer")
    assert second.findings == [well("as it should be")]


def test_a_server_that_does_not_answer_is_asked_once() -> None:
    asked: list[str] = []
    away = Check("away", refused, Server.DATABASE)
    other = Check("other", partial(ask, asked), Server.DATABASE)
    broker = Check("broker", lambda: [well("there")], Server.BROKER)

    first, second, third = examine([away, other, broker])

    assert "PostgreSQL cannot be used: connection refused" in first.findings[0].found
    assert first.findings[0].way_out
    assert second.findings[0].found == "not looked at: PostgreSQL cannot be used"
    assert third.findings[0].level == Level.OK
    assert not asked


def test_a_database_that_refuses_one_thing_is_asked_for_others() -> None:
    blocked = Check("blocked", locked, Server.DATABASE)
    free = Check("free", lambda: [well("there")], Server.DATABASE)
    assert levels(blocked, free) == [Level.UNKNOWN, Level.OK]


def test_a_check_that_fails_does_not_end_the_others() -> None:
    broken = Check("broken", lambda: [well(str(1 // 0))])
    first, second = examine([broken, WELL])
    assert first.findings[0].level == Level.UNKNOWN
    assert "ZeroDivisionError" in first.findings[0].found
    assert second.findings[0].level == Level.OK


def test_what_is_left_when_the_time_is_over_is_named() -> None:
    assert levels(WELL, seconds=0) == [Level.UNKNOWN]
