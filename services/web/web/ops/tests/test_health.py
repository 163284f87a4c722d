"""What supervisors ask."""

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries

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
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "migrations": "ok"}}
    with django_assert_num_queries(1):  # that all migrations are applied is remembered
        Client().get("/readyz")


@pytest.mark.django_db(transaction=True)
def test_a_process_is_not_ready_before_the_migrations_are_applied() -> None:
    call_command("migrate", "mail", "zero", verbosity=0)
    try:
        answer = Client().get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["migrations"] == "some are not applied"
        assert int(answer["Retry-After"]) > 0
    finally:
        call_command("migrate", "mail", verbosity=0)
    assert Client().get("/readyz").status_code == 200


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_health_is_only_asked_for(address: str) -> None:
    assert Client().post(address).status_code == 405
    assert "no-store" in Client().get(address)["Cache-Control"]
