"""Many jobs of one request: each is accepted, or has a problem of its own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from django.db import DatabaseError, connection, connections
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from runtime.rates import Rate
from tests.support.polling import poll
from web import recent
from web.accounts.models import User
from web.jobs import admission, batches
from web.jobs.models import Computation, Job, JobBatch
from web.jobs.tests.factories import client_of, make_computation, make_job, make_user
from web.messaging.models import OutboxMessage
from web.messaging.outbox import outbox
from web.messaging.tests.running import waits_for_a_lock
from web.postgresql.wakeup import OUTBOX_CHANNEL, Listener

pytestmark = pytest.mark.django_db
URL = "/api/v1/jobs/batch"
KEY = {"Idempotency-Key": "k"}


@pytest.fixture(autouse=True)
def _a_backlog_that_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "backlog", admission.Backlog())
    monkeypatch.setattr(admission, "FRESH", 3600)


def addition(x: Any, **changes: Any) -> dict[str, Any]:
    return {"computation": "add", "arguments": {"x": x, "y": 1}} | changes


def additions(number: int) -> list[dict[str, Any]]:
    return [addition(x) for x in range(number)]


def submit(client: APIClient, entries: Any, **headers: str) -> Any:
    return client.post(URL, {"jobs": entries}, headers=headers)


def codes(answer: Any) -> list[str]:
    return [entry["problem"]["code"] if "problem" in entry else "" for entry in answer["jobs"]]


def stored(job: str) -> list[dict[str, Any]]:
    """All that is stored of a job and its message, but for its id and what differs by the time."""
    row: dict[str, Any] = dict(Job.objects.filter(pk=job).values().get())
    message: dict[str, Any] = dict(OutboxMessage.objects.filter(task_id=job).values().get())
    for name in ("request_id", "accepted_at"):
        del message["headers"][name]
    for values in (row, message):
        for name in ("id", "created_at", "queued_at", "dispatched_at", "due_at"):
            values.pop(name, None)
    text = msgspec.json.encode(message | {"body": bytes(message["body"]).decode()}).decode()
    return [row, msgspec.json.decode(text.replace(job, "its id"))]


def check_nothing_is_stored() -> None:
    assert [model.objects.count() for model in (Job, OutboxMessage, JobBatch)] == [0, 0, 0]


def test_the_jobs_of_a_batch_are_accepted_in_order_each_with_its_message(
    client: APIClient, user: User
) -> None:
    make_computation("multiply", soft_time_limit=20, time_limit=30)
    entries = [*additions(3), addition(1e23, computation="multiply"), addition(2**70)]
    answer = submit(client, entries, **{"X-Request-ID": "abc"})
    assert answer.status_code == 202
    assert (answer.json()["accepted"], answer.json()["refused"]) == (5, 0)
    messages = OutboxMessage.objects.order_by("due_at", "pk")
    for entry, told, message in zip(entries, answer.json()["jobs"], messages, strict=True):
        job = Job.objects.get(pk=told["id"])
        assert (job.computation, job.arguments) == (entry["computation"], entry["arguments"])
        assert (job.owner, job.state, job.idempotency_key) == (user, "queued", None)
        assert job.created_at == job.queued_at == job.dispatched_at
        assert message.task_id == job.pk
        assert message.headers["id"] == told["id"]
        assert message.headers["timelimit"] == [job.time_limit, job.soft_time_limit]
        assert message.headers["request_id"] == "abc"
    assert client.get(f"/api/v1/jobs/{job.pk}").json()["arguments"] == entries[-1]["arguments"]


def test_a_job_of_a_batch_is_stored_like_one_submitted_alone(client: APIClient) -> None:
    single = client.post("/api/v1/jobs", addition(4)).json()["id"]
    for entries in ([addition(4)], [addition(4), addition(4)]):
        for entry in submit(client, entries).json()["jobs"]:
            assert stored(entry["id"]) == stored(single)


def test_wrong_entries_have_problems_of_their_own_and_do_not_stop_the_others(
    client: APIClient,
) -> None:
    make_computation("gone", available=False)
    wrong: list[tuple[Any, str, str]] = [
        (addition("four"), "invalid", "arguments.x"),
        (addition(1, computation="halt"), "unknown_computation", ""),
        (addition(1, computation="gone"), "unknown_computation", ""),
        (addition(1, argumnets={}), "invalid", "argumnets"),
        (addition(1, arguments=[1]), "invalid", "arguments"),
        (addition(1, computation=None), "invalid", "computation"),
        (addition(1, computation="x" * 201), "invalid", "computation"),
        ({}, "invalid", "computation"),
        ("add", "invalid", ""),
        (None, "invalid", ""),
        ([], "invalid", ""),
        (7, "invalid", ""),
    ]
    entries = [entry for broken, _, _ in wrong for entry in (addition(1), broken)]
    answer = submit(client, entries).json()
    assert (answer["accepted"], answer["refused"]) == (len(wrong), len(wrong))
    assert codes(answer) == [code for _, right, _ in wrong for code in ("", right)]
    for entry, (_, code, field) in zip(answer["jobs"][1::2], wrong, strict=True):
        problem = entry["problem"]
        assert set(problem) == {"type", "title", "status", "detail", "code", "errors"}
        assert problem["detail"]
        fields = [error["field"] for error in problem["errors"]]
        assert (fields[:1] == [field]) == (code == "invalid")
    assert Job.objects.count() == OutboxMessage.objects.count() == len(wrong)


def test_an_entry_has_the_problem_that_a_job_alone_would_have(client: APIClient) -> None:
    for entry in (addition("four"), addition(1, computation="halt"), {"x": 1}, addition("a" * 999)):
        alone = client.post("/api/v1/jobs", entry).json()
        (told,) = submit(client, [entry]).json()["jobs"]
        assert alone | told["problem"] == alone


def test_a_batch_without_a_right_entry_makes_nothing(client: APIClient) -> None:
    answer = submit(client, [addition("four")])
    assert (answer.status_code, answer.json()["accepted"]) == (202, 0)
    check_nothing_is_stored()


def test_only_the_first_problems_list_their_errors(client: APIClient) -> None:
    answer = submit(client, [addition("four")] * 1_000)
    problems = [entry["problem"] for entry in answer.json()["jobs"]]
    assert [bool(problem["errors"]) for problem in problems] == [True] * 20 + [False] * 980
    assert len({problem["detail"] for problem in problems}) == 1
    assert len(answer.content) < 250_000


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"jobs": []}, "jobs"),
        ({"jobs": [1] * 1_001}, "jobs"),
        ({"jobs": "add"}, "jobs"),
        ({"jobs": {"0": addition(1)}}, "jobs"),
        ({"jobs": None}, "jobs"),
        ({}, "jobs"),
        ({"jobs": [addition(1)], "job": 1}, "job"),
        ([addition(1)], ""),
    ],
)
def test_a_body_that_is_no_batch_is_refused(client: APIClient, body: Any, field: str) -> None:
    answer = client.post(URL, body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["errors"][0]["field"] == field
    check_nothing_is_stored()


def test_the_size_of_a_batch_is_named_to_whoever_passes_it(client: APIClient) -> None:
    assert "1 to 1,000 jobs" in submit(client, additions(1_001)).json()["detail"]
    assert submit(client, additions(1_000)).json()["accepted"] == 1_000


def test_a_nul_anywhere_refuses_the_batch(client: APIClient) -> None:
    assert submit(client, [addition(1), addition("\0")]).json()["code"] == "parse_error"
    assert submit(client, [addition(1, **{"\0": 1})]).json()["code"] == "parse_error"
    check_nothing_is_stored()


def test_a_batch_is_as_large_as_a_job_may_be(client: APIClient, settings: Settings) -> None:
    answer = submit(client, [addition("x" * settings.JOB_SIZE_LIMIT * 1024)])
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")


def test_as_many_jobs_are_accepted_as_the_user_may_have(
    client: APIClient, user: User, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = 4
    make_job(user)
    make_job(user, state="succeeded")
    entries = additions(5)
    entries.insert(1, addition("four"))
    answer = submit(client, entries).json()
    full = "too_many_unfinished_jobs"
    assert codes(answer) == ["", "invalid", "", "", full, full]
    assert (answer["accepted"], answer["refused"]) == (3, 3)
    assert "4 unfinished jobs" in answer["jobs"][-1]["problem"]["detail"]
    ids = [entry["id"] for entry in answer["jobs"] if "id" in entry]
    assert {str(pk) for pk in OutboxMessage.objects.values_list("task_id", flat=True)} == set(ids)
    refused = submit(client, entries)
    assert (refused.status_code, refused.json()["code"]) == (429, full)
    assert 5 <= int(refused["Retry-After"]) <= 15
    assert submit(client, [addition("four")]).status_code == 202


def test_a_full_backlog_refuses_the_whole_batch(
    client: APIClient, user: User, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED = 1
    make_job(user)
    answer = submit(client, additions(2))
    assert (answer.status_code, answer.json()["code"]) == (503, "backlog_full")
    assert int(answer["Retry-After"]) > 0


def test_zero_is_no_limit(client: APIClient, settings: Settings) -> None:
    settings.JOBS_UNFINISHED = settings.JOBS_UNFINISHED_PER_USER = 0
    assert submit(client, additions(1_000)).json()["accepted"] == 1_000


def test_a_batch_counts_once_for_each_job_or_for_each_16_kib(
    client: APIClient, settings: Settings
) -> None:
    settings.THROTTLE_SUBMISSION = Rate(10, seconds=3600)
    assert submit(client, []).status_code == 400  # does not count
    assert submit(client, additions(4)).status_code == 202
    large = addition(1, unknown="x" * 40 * 1024)  # three
    assert submit(client, [large]).json()["accepted"] == 0
    assert submit(client, additions(2)).status_code == 202
    answer = submit(client, additions(2))
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 3600
    assert Job.objects.count() == 6


def test_the_same_key_gives_the_same_answer_and_makes_nothing(
    client: APIClient, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = 2
    entries = [*additions(3), addition("four")]
    first = submit(client, entries, **KEY)
    Computation.objects.update(available=False)
    recent.forget_all()
    other_order = [dict(reversed(entry.items())) for entry in entries]
    again = submit(client, other_order, **KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert Job.objects.count() == OutboxMessage.objects.count() == 2
    assert JobBatch.objects.count() == 1


@pytest.mark.parametrize("other", [addition(1.0), addition(True), addition(2)])
def test_the_same_key_with_another_body_is_refused(
    client: APIClient, other: dict[str, Any]
) -> None:
    submit(client, [addition(1)], **KEY)
    answer = submit(client, [other], **KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert Job.objects.count() == 1


def test_a_key_belongs_to_its_user_and_a_refused_batch_leaves_it_free(
    client: APIClient, user: User, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = 1
    running = make_job(user)
    assert submit(client, additions(1), **KEY).status_code == 429
    assert submit(client_of(make_user("grace@example.org")), additions(1), **KEY).status_code == 202
    running.delete()
    assert submit(client, additions(1), **KEY).json()["accepted"] == 1
    assert submit(client, additions(1), **{"Idempotency-Key": "k" * 256}).status_code == 400


@pytest.mark.parametrize("limit", [0, 10])
@pytest.mark.django_db(transaction=True)
def test_of_two_with_the_same_key_at_once_both_get_the_answer_of_the_first(
    user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = limit
    late: list[Any] = []

    store = batches._store

    def store_late(owner: User, jobs: Any) -> None:
        """Store the jobs of the first after the second has begun to wait for it."""
        if not late:
            late.append(pool.submit(submit_elsewhere, user))
            poll(lambda: late[0].done() or waits_for_a_lock(), what="request that waits")
        store(owner, jobs)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(batches, "_store", store_late)
        first = submit(client_of(user), additions(6), **KEY)
        second = late[0].result(timeout=60)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert Job.objects.count() == OutboxMessage.objects.count() == 6


def submit_elsewhere(user: User) -> Any:
    try:
        return submit(client_of(user), additions(6), **KEY)
    finally:
        connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_batches_and_jobs_at_the_same_time_do_not_pass_the_limit(
    user: User, settings: Settings
) -> None:
    settings.JOBS_UNFINISHED_PER_USER = 50
    start = threading.Barrier(6)

    def work(number: int) -> int:
        client = client_of(user)
        try:
            start.wait()
            if number % 2:
                return sum(
                    client.post("/api/v1/jobs", addition(1)).status_code == 202 for _ in range(20)
                )
            answers = [submit(client, additions(7)).json() for _ in range(3)]
            return sum(answer.get("accepted", 0) for answer in answers)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(start.parties) as pool:
        accepted = sum(pool.map(work, range(start.parties)))
    assert accepted == Job.objects.count() == OutboxMessage.objects.count() == 50


@pytest.mark.django_db(transaction=True)
def test_nothing_is_stored_if_the_transaction_fails(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(user)
    client.raise_request_exception = False

    def fail(*_: Any) -> None:
        assert (Job.objects.count(), JobBatch.objects.count()) == (3, 1)
        raise DatabaseError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "send_all", fail)
        assert submit(client, additions(3), **KEY).status_code == 500
    check_nothing_is_stored()
    assert submit(client, additions(3), **KEY).json()["accepted"] == 3


@pytest.mark.parametrize("headers", [{}, KEY])
def test_the_number_of_queries_does_not_depend_on_that_of_jobs(
    client: APIClient, headers: dict[str, str]
) -> None:
    submit(client, additions(1))  # counts the backlog
    counts = []
    for number in (1, 2, 400):
        recent.forget_all()
        names = [addition(1, computation=f"unknown {each}") for each in range(number)]
        with CaptureQueriesContext(connection) as queries:
            assert submit(client, additions(number) + names, **headers).status_code == 202
        counts.append(len(queries))
        JobBatch.objects.all().delete()
    # Computations, lock, own jobs, jobs, messages, savepoint and its release; with a key also the
    # earlier batch, and the new one.
    assert counts == [7 + len(headers) * 2] * 3


@pytest.mark.django_db(transaction=True)
def test_the_relay_is_woken_once_for_a_batch(user: User) -> None:
    with Listener(OUTBOX_CHANNEL) as listener:
        submit(client_of(user), additions(50))
        assert listener.wait(10) == [""]
        assert listener.wait(0.2) == []
