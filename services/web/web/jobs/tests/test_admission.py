"""No more unfinished jobs than there may be: for one user, and in all."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction
from pytest_django import Settings
from rest_framework.test import APIClient

from tests.support.polling import poll
from web.accounts.models import User
from web.jobs import admission, submission
from web.jobs.admission import Backlog, TooManyUnfinishedError
from web.jobs.models import Computation, Job
from web.jobs.tests.factories import make_job, make_user
from web.messaging.models import OutboxMessage
from web.messaging.tests.running import waits_for_a_lock

pytestmark = pytest.mark.django_db
ADDITION = {"computation": "add", "arguments": {"x": 4, "y": 6}}


@pytest.fixture(autouse=True)
def backlog(monkeypatch: pytest.MonkeyPatch) -> Backlog:
    """One that knows nothing yet."""
    made = Backlog()
    monkeypatch.setattr(admission, "backlog", made)
    return made


def submit(client: APIClient, **headers: str) -> Any:
    return client.post("/api/v1/jobs", ADDITION, headers=headers)


def check_refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert 1 <= int(answer["Retry-After"]) <= 60


def max_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('max_connections')::int")
        return int(cursor.fetchone()[0])


def submit_at_once(owner: User, computation: Computation, requests: int) -> int:
    """Submit from many threads; the number of jobs that were accepted."""
    start = threading.Barrier(8)

    def work(count: int) -> int:
        accepted = 0
        try:
            start.wait()
            for _ in range(count):
                try:
                    submission.submit(owner, computation, {"x": 4, "y": 6}, None)
                    accepted += 1
                except TooManyUnfinishedError:
                    pass
        finally:
            connections.close_all()
        return accepted

    with ThreadPoolExecutor(start.parties) as pool:
        return sum(pool.map(work, [requests // start.parties] * start.parties))


def submit_after(jobs: int, owner: User, computation: Computation) -> None:
    try:
        Job.objects.bulk_create(
            Job(
                owner=owner,
                computation=computation.name,
                arguments={},
                soft_time_limit=1,
                time_limit=1,
            )
            for _ in range(jobs)
        )
        submission.submit(owner, computation, {"x": 4, "y": 6}, None)
    finally:
        connections.close_all()


def test_a_user_may_have_so_many_unfinished_jobs_and_no_more(
    client: APIClient, user: User, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = 2
    make_job(user, state="running")
    for ended in Job.FINAL:
        make_job(user, state=ended)
    assert submit(client).status_code == 202
    answer = submit(client)
    check_refused(answer, 429, "too_many_unfinished_jobs")
    assert "2 unfinished jobs" in answer.json()["detail"]
    assert OutboxMessage.objects.count() == 1


def test_a_job_that_ends_makes_room_for_another(
    client: APIClient, user: User, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = 1
    job = submit(client).json()
    check_refused(submit(client), 429, "too_many_unfinished_jobs")
    client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert submit(client).status_code == 202


def test_one_users_jobs_do_not_count_for_another(client: APIClient, settings: Settings) -> None:
    settings.JOBS_UNFINISHED_PER_USER = 1
    make_job(make_user("grace@example.org"))
    assert submit(client).status_code == 202


def test_all_users_together_may_have_so_many_unfinished_jobs_and_no_more(
    client: APIClient, settings: Settings, backlog: Backlog
) -> None:
    settings.JOBS_UNFINISHED = 2
    grace = make_user("grace@example.org")
    make_job(grace, state="succeeded")
    make_job(grace)
    assert submit(client).status_code == 202
    backlog.forget()
    check_refused(submit(client), 503, "backlog_full")
    Job.objects.filter(owner=grace).update(state="failed")
    backlog.forget()
    assert submit(client).status_code == 202


def test_the_backlog_is_not_counted_for_every_request(
    client: APIClient, settings: Settings, backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.JOBS_UNFINISHED = 1
    monkeypatch.setattr(admission, "FRESH", 3600)
    assert [submit(client).status_code for _ in range(2)] == [202, 202]
    backlog.forget()
    assert submit(client).status_code == 503


@pytest.mark.parametrize("setting", ["JOBS_UNFINISHED", "JOBS_UNFINISHED_PER_USER"])
def test_an_accepted_job_is_found_by_its_key_whatever_is_full_by_now(
    client: APIClient, settings: Settings, backlog: Backlog, setting: str
) -> None:
    setattr(settings, setting, 1)
    first = submit(client, **{"Idempotency-Key": "k"})
    backlog.forget()
    again = submit(client, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert submit(client, **{"Idempotency-Key": "other"}).status_code in (429, 503)
    other = ADDITION | {"arguments": {"x": 1, "y": 1}}
    answer = client.post("/api/v1/jobs", other, headers={"Idempotency-Key": "k"})
    assert answer.json()["code"] == "idempotency_key_reused"


def test_zero_is_no_limit(
    client: APIClient, settings: Settings, django_assert_num_queries: Any
) -> None:
    settings.JOBS_UNFINISHED = settings.JOBS_UNFINISHED_PER_USER = 0
    with django_assert_num_queries(3):  # rate, computation, job with its message
        assert submit(client).status_code == 202


@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_time_do_not_pass_the_limit(
    user: User, computation: Computation, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = 20
    assert submit_at_once(user, computation, requests=40) == 20
    assert Job.objects.count() == OutboxMessage.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_requests_that_begin_far_from_the_limit_do_not_pass_it(
    user: User, computation: Computation, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = max_connections() + 20  # the first 20 wait for nobody
    assert submit_at_once(user, computation, requests=settings.JOBS_UNFINISHED_PER_USER + 40) == (
        settings.JOBS_UNFINISHED_PER_USER
    )


@pytest.mark.django_db(transaction=True)
def test_whoever_comes_near_the_limit_waits_for_those_under_way(
    user: User, computation: Computation, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = limit = max_connections() + 1
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():  # a slow request, which began when the user had no job
            submission.submit(user, computation, {"x": 4, "y": 6}, None)
            late = pool.submit(submit_after, limit - 1, user, computation)
            poll(lambda: late.done() or waits_for_a_lock(), what="request that waits")
            assert not late.done()
        with pytest.raises(TooManyUnfinishedError):
            late.result(timeout=60)
