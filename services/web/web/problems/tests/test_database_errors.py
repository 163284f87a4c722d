"""Whatever the database says that will pass is a 503, and what was asked for can be repeated."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection
from rest_framework.test import APIClient

from web.jobs import submission
from web.jobs.models import Job
from web.jobs.tests.factories import make_computation, make_user
from web.messaging.models import OutboxMessage
from web.postgresql.outage import outage

pytestmark = pytest.mark.django_db(transaction=True)
ADDITION = {"computation": "add", "arguments": {"x": 4, "y": 6}}
# https://www.postgresql.org/docs/current/errcodes-appendix.html
PASSING = {
    "25006": "read only transaction",
    "25P03": "idle in transaction for too long",
    "40001": "serialization failure",
    "40P01": "deadlock",
    "53100": "disk full",
    "53200": "out of memory",
    "53300": "too many connections",
    "55P03": "lock not available",
    "57014": "statement timeout",
    "57P01": "admin shutdown",
    "57P03": "cannot connect now",
    "58030": "I/O error",
}


@pytest.fixture
def client() -> APIClient:
    make_computation()
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(make_user())
    return client


@pytest.fixture
def submit(client: APIClient) -> Callable[[], Any]:
    """Submit the same job again and again, under one key."""
    key = str(uuid.uuid4())
    return lambda: client.post("/api/v1/jobs", ADDITION, headers={"Idempotency-Key": key})


@contextmanager
def before_the_message(statement: str) -> Iterator[None]:
    """Let PostgreSQL run a statement of PL/pgSQL in the middle of a submission."""
    with connect() as other:
        other.execute(f"""
            CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN {statement}; RETURN NEW; END $$;
            CREATE TRIGGER spoil BEFORE INSERT ON messaging_outboxmessage
                FOR EACH ROW EXECUTE FUNCTION spoil()
        """)
        try:
            yield
        finally:
            other.execute("DROP FUNCTION spoil CASCADE")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def connect() -> psycopg.Connection[Any]:
    return psycopg.connect(**connection.get_connection_params(), autocommit=True)


@contextmanager
def read_only_from_now_on() -> Iterator[None]:
    """Let new connections change nothing."""
    try:
        with connect() as other:
            other.execute("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
        begin_anew()
        yield
    finally:
        with connect() as other:
            other.execute("SET default_transaction_read_only = off")
            other.execute("ALTER ROLE CURRENT_USER RESET default_transaction_read_only")
        begin_anew()


def begin_anew() -> None:
    """Leave all connections that there are."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # the stubs do not know of it


def terminate_own_connection() -> None:
    assert connection.connection is not None
    pid = connection.connection.info.backend_pid
    with connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


def check_unavailable(answer: Any) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer["Retry-After"]) > 0
    if connection.connection and connection.connection.closed:
        connection.close()  # as at the end of a request; the tests' client leaves that out


def check_one_job(answer: Any) -> None:
    assert answer.status_code == 202
    assert str(Job.objects.get().id) == answer.json()["id"]
    assert str(OutboxMessage.objects.get().task_id) == answer.json()["id"]


@pytest.mark.parametrize(
    "state", PASSING, ids=[name.replace(" ", "-") for name in PASSING.values()]
)
def test_an_error_that_will_pass_is_told_so_and_leaves_nothing_behind(
    state: str, submit: Callable[[], Any]
) -> None:
    with before_the_message(f"RAISE EXCEPTION 'no' USING ERRCODE = '{state}'"):
        check_unavailable(submit())
    assert not Job.objects.exists()
    check_one_job(submit())


def test_an_error_of_ours_is_not_taken_for_the_databases(submit: Callable[[], Any]) -> None:
    with before_the_message("PERFORM nothing()"):
        assert submit().status_code == 500


@pytest.mark.parametrize(
    "statement",
    [
        "RAISE EXCEPTION 'no' USING ERRCODE = '57014'",
        "PERFORM pg_terminate_backend(pg_backend_pid())",
    ],
)
def test_a_batch_that_breaks_off_leaves_nothing_behind(client: APIClient, statement: str) -> None:
    def submit() -> Any:
        headers = {"Idempotency-Key": "k"}
        return client.post("/api/v1/jobs/batch", {"jobs": [ADDITION] * 100}, headers=headers)

    with before_the_message(statement):
        check_unavailable(submit())
    assert not Job.objects.exists()
    assert submit().json()["accepted"] == 100
    assert Job.objects.count() == OutboxMessage.objects.count() == 100
    with before_the_message("PERFORM nothing()"):
        Job.objects.all().delete()
        assert submit().status_code == 202
        assert not Job.objects.exists()
        assert client.post("/api/v1/jobs/batch", {"jobs": [ADDITION]}).status_code == 500


def test_a_database_that_takes_no_changes_is_read_all_the_same(
    client: APIClient, submit: Callable[[], Any]
) -> None:
    with read_only_from_now_on():
        check_unavailable(submit())
        assert client.get("/api/v1/jobs").status_code == 200
    check_one_job(submit())


def test_a_connection_that_ends_in_the_middle_of_a_request_leaves_nothing_behind(
    submit: Callable[[], Any],
) -> None:
    with before_the_message("PERFORM pg_terminate_backend(pg_backend_pid())"):
        check_unavailable(submit())
    check_one_job(submit())


def test_a_job_whose_commit_got_no_answer_is_found_by_its_key(
    submit: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = submission._store

    def store_and_lose_the_answer(job: Job, expected: float | None) -> None:
        store(job, expected)
        terminate_own_connection()
        execute("SELECT 1")

    with monkeypatch.context() as patches:
        patches.setattr(submission, "_store", store_and_lose_the_answer)
        check_unavailable(submit())
    assert Job.objects.count() == 1
    check_one_job(submit())


def test_a_database_that_lets_nobody_in_is_away(submit: Callable[[], Any]) -> None:
    name = connection.settings_dict["NAME"]
    with connect() as other:
        other.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
        try:
            other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            check_unavailable(submit())
        finally:
            other.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
    outage.end()
    check_one_job(submit())
