"""Counting what may not be done too often."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from runtime.rates import Rate
from web.accounts import limits
from web.accounts.models import RateUsage
from web.clients import network

TWICE = Rate(2, seconds=60)


def uses(count: int, rate: Rate = TWICE, who: str = "ada") -> list[bool]:
    return [limits.consume("test", who, rate).allowed for _ in range(count)]


@pytest.mark.django_db
def test_what_is_over_the_limit_is_refused_with_the_time_to_wait() -> None:
    assert uses(2) == [True, True]
    refused = limits.consume("test", "ada", TWICE)
    assert not refused.allowed
    assert 0 < refused.wait <= 60


@pytest.mark.django_db
def test_everybody_and_everything_is_counted_apart() -> None:
    assert uses(3) == [True, True, False]
    assert uses(1, who="grace") == [True]
    assert limits.consume("other", "ada", TWICE).allowed


@pytest.mark.django_db
def test_a_new_window_begins_when_the_old_one_has_ended() -> None:
    assert uses(3) == [True, True, False]
    RateUsage.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert uses(3) == [True, True, False]


@pytest.mark.django_db
def test_a_use_can_be_taken_back() -> None:
    for _ in range(5):
        use = limits.consume("test", "ada", TWICE)
        assert use.allowed
        limits.refund([use])


@pytest.mark.django_db
def test_who_did_it_is_not_stored() -> None:
    uses(1, who="ada@example.org")
    assert "ada" not in RateUsage.objects.get().key


@pytest.mark.django_db(transaction=True)
def test_simultaneous_uses_are_all_counted() -> None:
    allowed: list[bool] = []

    def run() -> None:
        allowed.extend(uses(10, Rate(25, seconds=60)))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(allowed), sum(allowed)) == (40, 25)


@pytest.mark.django_db(transaction=True)
def test_ended_windows_are_cleared_away() -> None:
    for number in range(5):
        uses(1, who=f"somebody {number}")
    RateUsage.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    uses(1)
    assert RateUsage.objects.count() == 1


@pytest.mark.django_db
def test_counting_is_one_statement(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        uses(1)


@pytest.mark.django_db
def test_counting_costs_no_disk_sync() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'accounts_rateusage'")
        assert cursor.fetchone() == ("u",)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("203.0.113.77:4711", "203.0.113.77"),
        ("[2001:db8::1]:4711", "2001:db8::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:4711", "203.0.113.9"),
        ("64:ff9b::203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("somebody", "unknown"),
        ("203.0.113.77:port", "unknown"),
    ],
)
def test_a_client_counts_as_one_however_its_address_is_written(
    address: str | None, counted: str
) -> None:
    assert network(address) == counted


@pytest.mark.django_db
def test_uses_taken_in_advance_keep_the_limit(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    rate = Rate(5_000, seconds=3600)  # so that five are taken at a time
    processes = [limits.Advance(), limits.Advance()]
    with django_assert_num_queries(2):  # of each process one
        assert all(processes[n % 2].consume("test", "ada", rate).allowed for n in range(10))
    RateUsage.objects.update(uses=4_988)
    allowed = [processes[n % 2].consume("test", "ada", rate).allowed for n in range(30)]
    assert allowed == sorted(allowed, reverse=True)  # from the first refusal on, all are refused
    assert 4_988 + sum(allowed) == 5_000
    refused = processes[0].consume("test", "ada", rate)
    assert not refused.allowed
    assert 0 < refused.wait <= 3600


@pytest.mark.django_db
def test_a_large_use_and_a_small_limit_are_counted_one_by_one(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    process = limits.Advance()
    assert [process.consume("test", "ada", TWICE).allowed for _ in range(3)] == [True, True, False]
    large = Rate(5_000, seconds=3600)
    assert process.consume("test", "grace", large, amount=1_000).allowed
    assert RateUsage.objects.get(uses=1_000)


@pytest.mark.django_db
def test_uses_taken_in_advance_end_with_their_window(monkeypatch: pytest.MonkeyPatch) -> None:
    process, rate = limits.Advance(), Rate(2_000, seconds=60)
    assert process.consume("test", "ada", rate).allowed
    RateUsage.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert process.consume("test", "ada", rate).allowed
    assert RateUsage.objects.get().uses == 2  # two anew, of which one is left
