"""What supervisors ask."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.db.models.functions import Now
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from structlog.testing import capture_logs

from web.messaging.models import OutboxMessage
from web.messaging.outbox import outbox
from web.ops import health


@pytest.fixture(autouse=True)
def _forget() -> None:
    health._look_for_migrations.cache_clear()


def test_a_process_is_alive_without_a_database() -> None:
    answer = Client().get("/healthz")  # pytest-django would refuse a query here
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_a_process_is_ready_when_the_database_is(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    answer = Client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok"},
        "outbox": {"due": 0, "oldest_seconds": 0},
    }
    with django_assert_num_queries(1):  # that all migrations are applied is remembered
        Client().get("/readyz")


@pytest.mark.django_db
def test_a_message_that_does_not_leave_makes_web_degraded_but_it_takes_requests_as_before() -> None:
    with transaction.atomic():
        outbox.broadcast("revoke", {})
    fresh = Client().get("/readyz")
    assert (fresh.status_code, fresh.json()["status"]) == (200, "ok")
    assert fresh.json()["outbox"]["due"] == 1

    OutboxMessage.objects.update(due_at=Now() - timedelta(seconds=settings.OUTBOX_LATE + 1))
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["outbox"]["oldest_seconds"] > settings.OUTBOX_LATE


@pytest.mark.django_db
def test_a_retry_that_is_for_later_is_no_backlog() -> None:
    with transaction.atomic():
        outbox.broadcast("revoke", {})
    OutboxMessage.objects.update(due_at=Now() + timedelta(hours=1))
    assert Client().get("/readyz").json()["outbox"] == {"due": 0, "oldest_seconds": 0}


@pytest.mark.django_db(transaction=True)
def test_a_process_is_not_ready_before_the_migrations_are_applied() -> None:
    call_command("migrate", "mail", "zero", verbosity=0)
    try:
        answer = Client().get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["migrations"] == "some are not applied"
        assert int(answer["Retry-After"]) > 0
    finally:
        call_command("migrate", verbosity=0)  # and what depends on it
    assert Client().get("/readyz").status_code == 200


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_health_is_only_asked_for(address: str) -> None:
    assert Client().post(address).status_code == 405
    assert "no-store" in Client().get(address)["Cache-Control"]


@pytest.mark.parametrize("address", ["/healthz", "/readyz", "/metrics", "/staff/flower"])
@pytest.mark.django_db
def test_what_is_asked_every_few_seconds_does_not_bury_what_people_did(address: str) -> None:
    with capture_logs() as lines:
        Client().get(address)
        Client().get("/nothing")
    told = [line["path"] for line in lines if line["log_level"] == "info" and "path" in line]
    assert told == ["/nothing"]
