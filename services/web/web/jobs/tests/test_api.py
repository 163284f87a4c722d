"""Submitting, watching and cancelling jobs through the API."""

import threading
import uuid
from queue import Queue
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient
from structlog.testing import capture_logs

from runtime.rates import Rate
from web import recent
from web.accounts.models import User
from web.jobs import admission
from web.jobs.models import Computation, Job
from web.jobs.results import JOBS
from web.jobs.tests.factories import client_of, event, make_computation, make_job, make_user
from web.messaging.models import OutboxMessage
from web.tracking.waiting import watch

pytestmark = pytest.mark.django_db
ADDITION = {"computation": "add", "arguments": {"x": 4, "y": 6}}


def test_a_job_is_accepted_with_its_message_in_one_transaction(client: APIClient) -> None:
    answer = client.post("/api/v1/jobs", ADDITION, headers={"X-Request-ID": "abc"})
    assert answer.status_code == 202
    job = answer.json()
    assert answer["Location"].endswith(f"/api/v1/jobs/{job['id']}")
    assert set(job) == {
        "id", "computation", "arguments", "state", "progress", "result", "error", "attempts",
        "worker", "created_at", "started_at", "finished_at",
    }  # fmt: skip
    assert (job["state"], job["attempts"], job["progress"]) == ("queued", 0, None)
    message = OutboxMessage.objects.get()
    assert str(message.task_id) == job["id"] == message.headers["id"]
    assert message.routing_key == "compute.run"
    assert message.headers["request_id"] == "abc"
    assert message.headers["timelimit"] == [15, 10]


def test_a_field_that_is_not_known_is_refused(client: APIClient) -> None:
    answer = client.post("/api/v1/jobs", ADDITION | {"argumnets": {}})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (400, "invalid")
    assert problem["errors"] == [{
        "field": "argumnets", "code": "unknown",
        "detail": "There is no such field; there is computation, arguments.",
    }]  # fmt: skip
    assert not Job.objects.exists()


def test_submitting_takes_few_queries(
    client: APIClient, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "backlog", admission.Backlog())
    monkeypatch.setattr(admission, "FRESH", 3600)
    client.post("/api/v1/jobs", ADDITION)  # counts the backlog
    with django_assert_num_queries(1):  # all in one: own jobs, job and message
        assert client.post("/api/v1/jobs", ADDITION).status_code == 202
    recent.forget_all()
    with django_assert_num_queries(2):  # also the computation
        assert client.post("/api/v1/jobs", ADDITION).status_code == 202
    key = {"Idempotency-Key": "k"}
    with django_assert_num_queries(2):  # also a job of the same key
        assert client.post("/api/v1/jobs", ADDITION, headers=key).status_code == 202
    with django_assert_num_queries(1):
        assert client.post("/api/v1/jobs", ADDITION, headers=key).status_code == 202


def test_the_same_idempotency_key_gives_the_same_job(client: APIClient) -> None:
    first, second = (
        client.post("/api/v1/jobs", ADDITION, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert OutboxMessage.objects.count() == 1


@pytest.mark.parametrize(
    "change", [{"available": False}, {"arguments_schema": {"type": "object", "maxProperties": 0}}]
)
def test_a_request_that_was_accepted_stays_so_whatever_becomes_of_its_computation(
    client: APIClient, change: dict[str, Any]
) -> None:
    first = client.post("/api/v1/jobs", ADDITION, headers={"Idempotency-Key": "k"})
    Computation.objects.update(**change)
    again = client.post("/api/v1/jobs", ADDITION, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


def test_an_idempotency_key_with_another_request_is_refused(client: APIClient) -> None:
    client.post("/api/v1/jobs", ADDITION, headers={"Idempotency-Key": "k"})
    other = ADDITION | {"arguments": {"x": 1, "y": 1}}
    answer = client.post("/api/v1/jobs", other, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_the_same_key_of_another_user_is_another_request(client: APIClient) -> None:
    first = client.post("/api/v1/jobs", ADDITION, headers={"Idempotency-Key": "k"})
    client.force_authenticate(make_user("grace@example.org"))
    second = client.post("/api/v1/jobs", ADDITION, headers={"Idempotency-Key": "k"})
    assert first.json()["id"] != second.json()["id"]


@pytest.mark.parametrize(
    ("arguments", "field", "rule"),
    [
        ({"x": "four", "y": 6}, "arguments.x", "type"),
        ({"x": 4}, "arguments", "required"),
        ({"x": 4, "y": 6, "z": 1}, "arguments", "additionalProperties"),
        ([4, 6], "arguments", "type"),
    ],
)
def test_wrong_arguments_are_refused_by_field_and_rule(
    client: APIClient, arguments: Any, field: str, rule: str
) -> None:
    answer = client.post("/api/v1/jobs", {"computation": "add", "arguments": arguments})
    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert (error["field"], error["code"]) == (field, rule)
    assert not Job.objects.exists()


def test_of_many_errors_the_first_are_told(client: APIClient) -> None:
    make_computation("describe", arguments_schema={
        "type": "object", "properties": {"values": {"items": {"type": "number"}}},
    })  # fmt: skip
    body = {"computation": "describe", "arguments": {"values": [""] * 60_000}}
    answer = client.post("/api/v1/jobs", body)
    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert len(errors) == 21
    assert errors[0]["field"] == "arguments.values.0"
    assert errors[-1]["detail"] == "There are more errors than these 20."
    assert len(answer.content) < 10_000


def test_a_list_shows_no_arguments_and_results(client: APIClient, user: User) -> None:
    make_job(user, arguments={"x": "large"}, result="large", state="succeeded")
    with CaptureQueriesContext(connection) as queries:
        [job] = client.get("/api/v1/jobs").json()["results"]
    assert "large" not in str(job)
    assert {"arguments", "result"}.isdisjoint(job)
    assert '"arguments"' not in str(queries.captured_queries)


def test_an_unknown_computation_is_not_found(client: APIClient) -> None:
    answer = client.post("/api/v1/jobs", {"computation": "halt", "arguments": {}})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_computation")


def test_nobody_sees_anothers_job(client: APIClient) -> None:
    job = make_job(make_user("grace@example.org"))
    for answer in (
        client.get(f"/api/v1/jobs/{job.id}"),
        client.post(f"/api/v1/jobs/{job.id}/cancel"),
    ):
        assert answer.status_code == 404
    assert client.get("/api/v1/jobs").json()["results"] == []


def test_jobs_are_listed_newest_first_and_by_state(client: APIClient, user: User) -> None:
    old, new = make_job(user, state="failed"), make_job(user)
    Job.objects.filter(pk=old.pk).update(created_at="2001-01-01T00:00Z")
    listed = client.get("/api/v1/jobs?page_size=1").json()
    assert [job["id"] for job in listed["results"]] == [str(new.id)]
    following = client.get(listed["next"]).json()
    assert [job["id"] for job in following["results"]] == [str(old.id)]
    failed = client.get("/api/v1/jobs?state=failed").json()["results"]
    assert [job["id"] for job in failed] == [str(old.id)]
    assert client.get("/api/v1/jobs?state=odd").status_code == 400


def test_a_job_still_in_the_outbox_is_withdrawn_when_cancelled(client: APIClient) -> None:
    job = client.post("/api/v1/jobs", ADDITION).json()
    answer = client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert answer.json()["state"] == "cancelled"
    assert not OutboxMessage.objects.exists()
    assert client.post(f"/api/v1/jobs/{job['id']}/cancel").status_code == 200


def test_a_job_on_its_way_is_revoked_at_the_workers(client: APIClient, user: User) -> None:
    job = make_job(user, state="running")
    assert client.post(f"/api/v1/jobs/{job.id}/cancel").status_code == 200
    message = OutboxMessage.objects.get()
    assert message.exchange == "celery.pidbox"
    assert str(job.id).encode() in bytes(message.body)


def test_a_job_that_has_ended_cannot_be_cancelled(client: APIClient, user: User) -> None:
    job = make_job(user, state="succeeded")
    answer = client.post(f"/api/v1/jobs/{job.id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_is_final")


@pytest.mark.parametrize("wait", ["-1", "61", "soon", "nan"])
def test_a_wait_that_makes_no_sense_is_refused(client: APIClient, user: User, wait: str) -> None:
    job = make_job(user)
    answer = client.get(f"/api/v1/jobs/{job.id}?wait={wait}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "wait")


def test_a_malformed_id_is_not_found(client: APIClient) -> None:
    assert client.get("/api/v1/jobs/not-an-id").status_code == 404
    assert client.get(f"/api/v1/jobs/{uuid.uuid4()}").status_code == 404
    assert client.get(f"/api/v1/jobs/{'-' * 36}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_as_soon_as_the_job_does(
    user: User, client: APIClient, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(watch.stop)
    job = make_job(user)
    answers: list[Any] = []

    def ask() -> None:
        answers.append(client.get(f"/api/v1/jobs/{job.id}?wait=60"))
        connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    with transaction.atomic():
        JOBS.apply([event(job.id, "SUCCESS")])  # type: ignore[arg-type]
    asking.join(30)  # well before the 60 s
    assert answers[0].json()["state"] == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_whoever_waits_looks_at_the_state_alone(
    user: User,
    client: APIClient,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    request.addfinalizer(watch.stop)
    monkeypatch.setattr("web.tracking.waiting.RECHECK", 0.05)
    job = make_job(user)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"/api/v1/jobs/{job.id}?wait=1").json()["state"] == "queued"
    looks = [query["sql"] for query in queries if 'FROM "jobs_job"' in query["sql"]]
    whole = ['"jobs_job"."arguments"' in look for look in looks]
    # Once to see whose it is, once for the answer.
    assert (whole[0], whole[-1], sum(whole)) == (True, True, 2)
    assert len(looks) > 5


@pytest.mark.django_db(transaction=True)
def test_nobody_takes_all_places_of_those_who_wait(
    user: User, client: APIClient, settings: Settings, request: pytest.FixtureRequest
) -> None:
    settings.JOB_WAITERS = 4  # one for each user
    request.addfinalizer(watch.stop)
    stranger = make_user("grace@example.org")
    of_a_stranger = client_of(stranger)
    job, other = make_job(user), make_job(stranger)
    answers: Queue[tuple[str, str]] = Queue()

    def ask(asker: APIClient, which: Job) -> None:
        answer = asker.get(f"/api/v1/jobs/{which.id}?wait=60").json()
        answers.put((answer["id"], answer["state"]))
        connection.close()

    asking = [threading.Thread(target=ask, args=(client, job)) for _ in range(2)]
    for thread in asking:
        thread.start()
    first = answers.get(timeout=30)  # well before the 60 s: there was no place
    asking.append(threading.Thread(target=ask, args=(of_a_stranger, other)))
    asking[-1].start()
    with transaction.atomic():
        JOBS.apply([event(each.id, "SUCCESS") for each in (job, other)])  # type: ignore[arg-type]
    for thread in asking:
        thread.join(30)
    later = {answers.get_nowait() for _ in range(2)}
    assert first == (str(job.id), "queued")
    assert later == {(str(job.id), "succeeded"), (str(other.id), "succeeded")}


def test_submissions_of_a_user_are_limited_by_number_and_size(
    client: APIClient, user: User, settings: Settings
) -> None:
    settings.THROTTLE_SUBMISSION = Rate(4, seconds=3600)
    large = ADDITION | {"unknown": "x" * 40 * 1024}  # counts three times, also when it is refused
    assert client.post("/api/v1/jobs", ADDITION).status_code == 202
    client.post("/api/v1/jobs", large)
    with capture_logs() as lines:
        refused = client.post("/api/v1/jobs", ADDITION)
    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    (told,) = [line for line in lines if line["event"] == "limited"]
    assert told == {"event": "limited", "log_level": "warning", "scope": "submission",
                    "user": str(user.pk)}  # fmt: skip
    assert 0 < int(refused["Retry-After"]) <= 3600
    stranger = client_of(make_user("grace@example.org"))
    assert stranger.post("/api/v1/jobs", ADDITION).status_code == 202
    assert client.get("/api/v1/jobs").status_code == 200


def test_computations_are_listed_with_schema_and_limits(client: APIClient) -> None:
    make_computation("gone", available=False)
    (entry,) = client.get("/api/v1/computations").json()["results"]
    assert entry["name"] == "add"
    assert entry["arguments"]["required"] == ["x", "y"]
    assert entry["limits"] == {"soft_time_limit": 10, "time_limit": 15, "memory_limit": 256}
    assert client.get("/api/v1/computations/add").json() == entry
    assert client.get("/api/v1/computations/gone").status_code == 404
