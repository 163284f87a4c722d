"""Replaying and discarding: each letter once, in the name of who did it, by the thousand."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from structlog.testing import capture_logs

from contracts.events import TaskState
from web.accounts.models import User
from web.jobs.models import Job
from web.jobs.results import JOBS
from web.jobs.tests.factories import event, make_job, make_user
from web.mail.tests.factories import make_mail
from web.messaging.broker.arrivals import Arrival
from web.messaging.letters import dead_letters, making, repair
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.tests.factories import dead_message, save

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return make_user("owner@example.org")


def refusal(letter: DeadLetter, act: repair.Action = repair.replay) -> str:
    [refused] = act([letter.pk], "ops")
    assert refused.id == letter.pk
    return f"{refused.code}: {refused.detail}"


def test_a_replay_runs_the_same_job_again_and_outranks_what_was(owner: User) -> None:
    job = make_job(owner, state="failed", attempt=3, phase=3, error_type="DeadLetter")
    letter = save(dead_message(job.id, request_id="abc"))
    body = bytes(letter.body)
    assert repair.replay([letter.pk], "ops") == []
    job.refresh_from_db()
    letter.refresh_from_db()
    message = OutboxMessage.objects.get()
    assert (job.state, job.error) == ("queued", None)
    assert (message.task_id, bytes(message.body)) == (job.id, body)
    assert message.headers == {
        "task": "compute.run", "id": str(job.id), "retries": 3, "request_id": "abc"
    }  # fmt: skip
    assert message.properties == {"correlation_id": str(job.id)}
    assert (message.exchange, message.routing_key) == ("warren.tasks", "compute.run")
    assert (letter.state, letter.handled_by, bytes(letter.body)) == ("replayed", "ops", b"")
    assert letter.handled_at is not None
    assert refusal(letter) == "dead_letter_handled: it has already been replayed by ops"
    assert OutboxMessage.objects.count() == 1


def test_a_mail_is_replayed_with_its_own_id() -> None:
    mail = make_mail(state="failed", attempt=2)
    letter = save(dead_message(mail.id, b"[[], {}, {}]", task="mailer.send_email"))
    assert repair.replay([letter.pk], "ops") == []
    mail.refresh_from_db()
    message = OutboxMessage.objects.get()
    assert (mail.state, message.task_id, message.headers["retries"]) == ("queued", mail.id, 2)
    assert message.routing_key == "mailer.send_email"


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "cancelled"])
def test_what_has_not_failed_is_not_replayed(owner: User, state: str) -> None:
    letter = save(dead_message(make_job(owner, state=state).id))
    assert refusal(letter).startswith("dead_letter_not_replayable: its job or mail has not failed")
    assert not OutboxMessage.objects.exists()
    assert Job.objects.get().state == state


def test_of_two_letters_of_one_job_one_is_replayed(owner: User) -> None:
    job = make_job(owner, state="failed")
    letters = [save(dead_message(job.id, retries=retries)) for retries in (0, 1)]
    [refused] = repair.replay([letter.pk for letter in letters], "ops")
    assert refused.id == letters[1].pk
    assert OutboxMessage.objects.count() == 1


def test_a_task_that_lost_its_way_is_replayed_to_where_it_belongs(owner: User) -> None:
    job = make_job(owner, state="failed")
    dead = dead_message(job.id)
    letter = save(Arrival(dead.headers, {}, dead.body, "web.dead", exchange=""))
    assert letter.reason == "misplaced"
    assert repair.replay([letter.pk], "ops") == []
    message = OutboxMessage.objects.get()
    assert (message.exchange, message.routing_key) == ("warren.tasks", "compute.run")


@pytest.mark.parametrize(
    ("exchange", "key", "problem"),
    [
        ("amq.fanout", "x", "nothing of ours is published to 'amq.fanout'"),
        ("", "web.dead", "nobody knows where it was to go"),
    ],
)
def test_what_came_from_elsewhere_is_not_replayed(exchange: str, key: str, problem: str) -> None:
    assert problem in refusal(save(Arrival({}, {}, b"{}", key, exchange)))
    assert not OutboxMessage.objects.exists()


def test_a_result_of_an_older_version_is_replayed_to_the_exchange_of_its_service() -> None:
    death = {"exchange": "warren.results", "queue": "web.results", "reason": "delivery_limit"}
    dead = Arrival({"x-death": [death]}, {}, b"{}", "compute.run.success")
    assert repair.replay([save(dead).pk], "ops") == []
    message = OutboxMessage.objects.get()
    assert message.exchange == "warren.results.compute"
    assert message.routing_key == "compute.run.success"


def test_a_letter_of_an_unknown_task_is_sent_as_it_was() -> None:
    letter = save(Arrival({"a": [1], "x-b": 2}, {"priority": 1}, b"{}", "k", "warren.tasks"))
    assert repair.replay([letter.pk], "ops") == []
    message = OutboxMessage.objects.get()
    assert (message.headers, message.properties, bytes(message.body)) == (
        {"a": [1]}, {"priority": 1}, b"{}",
    )  # fmt: skip


def test_a_discarded_letter_stays_on_record_and_is_not_replayed(owner: User) -> None:
    letter = save(dead_message(make_job(owner, state="failed").id))
    assert repair.discard([letter.pk], "ops") == []
    letter.refresh_from_db()
    assert (letter.state, letter.handled_by, bytes(letter.body)) == ("discarded", "ops", b"")
    assert refusal(letter) == "dead_letter_handled: it has already been discarded by ops"
    assert refusal(letter, repair.discard).startswith("dead_letter_handled")
    assert not OutboxMessage.objects.exists()


def test_who_did_what_is_logged_without_what_the_message_says(
    owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    job = make_job(owner, state="failed")
    secret = [[], {"job_id": "1", "computation": "planted", "arguments": {}}, {}]
    letter = save(dead_message(job.id, secret))
    with capture_logs() as lines, django_capture_on_commit_callbacks(execute=True):
        repair.replay([letter.pk], "ops")
    assert lines == [
        {
            "event": "dead letter dealt with", "log_level": "info", "letter": letter.pk,
            "state": "replayed", "reason": "rejected", "task": "compute.run",
            "task_id": str(job.id), "by": "ops",
        }
    ]  # fmt: skip


def test_thousands_are_dealt_with_in_batches_of_a_few_statements(
    owner: User, django_assert_max_num_queries: Any
) -> None:
    jobs = Job.objects.bulk_create(
        Job(owner=owner, computation="add", arguments={}, soft_time_limit=1, time_limit=2,
            state="failed", attempt=1)
        for _ in range(2_000)
    )  # fmt: skip
    dead_letters.store([making.of_arrival(dead_message(job.id)) for job in jobs])
    seen: list[int] = []
    with django_assert_max_num_queries(2_000 // repair.BATCH * 10):
        report = repair.sweep(
            repair.replay, repair.waiting(), "ops", tell=lambda so_far: seen.append(so_far.done)
        )
    assert (report.done, report.refused, report.remaining) == (2_000, 0, 0)
    assert seen == list(range(repair.BATCH, 2_001, repair.BATCH))
    assert OutboxMessage.objects.values("task_id").distinct().count() == 2_000
    assert not Job.objects.exclude(state="queued").exists()


def test_when_time_is_up_the_rest_is_left_and_told() -> None:
    count = repair.BATCH + 3
    dead_letters.store([making.of_arrival(dead_message(uuid4(), b"{}")) for _ in range(count)])
    report = repair.sweep(repair.discard, repair.waiting(reason="malformed"), "ops", seconds=0)
    assert (report.done, report.remaining) == (repair.BATCH, 3)
    assert len(repair.waiting()) == 3


def test_a_report_counts_all_refusals_and_lists_some() -> None:
    report = repair.sweep(repair.discard, range(1, 301), "ops")
    assert (report.done, report.refused, len(report.refusals)) == (0, 300, repair.MOST_REFUSALS)
    assert {refused.code for refused in report.refusals} == {"not_found"}


def test_a_replayed_job_that_then_succeeds_is_done(owner: User) -> None:
    job = make_job(owner, state="failed", attempt=4, phase=3)
    repair.replay([save(dead_message(job.id)).pk], "ops")
    JOBS.apply([event(job.id, TaskState.SUCCESS, 5)])
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("succeeded", 5)


@pytest.mark.django_db(transaction=True)
def test_of_several_operators_at_the_same_time_one_replays() -> None:
    # Of no job, whose lock would do as well.
    ids = [save(Arrival({}, {}, b"{}", "k", "warren.tasks")).pk for _ in range(200)]

    together = Barrier(4)

    def operate(name: str) -> int:
        try:
            connection.ensure_connection()
            together.wait()
            return repair.sweep(repair.replay, ids, name).done
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(operate, ["ada", "bob", "eve", "joe"]))
    assert sum(done) == len(ids)
    assert OutboxMessage.objects.count() == len(ids)
