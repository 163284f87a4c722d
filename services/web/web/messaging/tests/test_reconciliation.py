"""Which tasks are published again, and which are left in peace, on a real broker."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from kombu import Connection
from pytest_django import Settings
from structlog.testing import capture_logs

from contracts.events import TaskState
from web.jobs import cancellation, submission
from web.jobs.models import Job
from web.jobs.results import JOBS
from web.jobs.tests.factories import event, make_user
from web.mail.models import Email
from web.mail.results import MAILS
from web.mail.tests.factories import make_mail
from web.messaging.inbox import workers
from web.messaging.letters import repair
from web.messaging.lost.reconciliation import BATCH
from web.messaging.models import DeadLetter, OutboxMessage, Worker
from web.messaging.tests.staffing import (
    consume,
    lost_job,
    opened,
    published_again,
    put,
    reconciler,
    report,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_once(settings: Settings) -> None:
    settings.RECONCILE_AFTER = 0.0


def test_a_job_that_is_nowhere_is_queued_again_and_outranks_what_it_did_before(
    staffed: Connection,
) -> None:
    job = lost_job(state="running", attempt=2, phase=2, progress_done=7)
    reconciler().look(staffed)
    assert published_again() == {job.id: 2}
    job.refresh_from_db()
    assert (job.state, job.republished) == ("queued", 1)
    assert job.dispatched_at > job.created_at
    with transaction.atomic():
        JOBS.apply([event(job.id, TaskState.STARTED, 3)])
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("running", 3)


@pytest.mark.parametrize("state", ["queued", "sending", "retrying"])
def test_a_mail_that_is_nowhere_is_queued_again(staffed: Connection, state: str) -> None:
    email = make_mail(state=state, attempt=1)
    reconciler().look(staffed)
    assert published_again() == {email.id: 1}
    email.refresh_from_db()
    assert (email.state, email.republished) == ("queued", 1)


def test_what_has_only_just_vanished_is_watched_first(
    staffed: Connection, settings: Settings
) -> None:
    settings.RECONCILE_AFTER = 3600.0
    lost_job()
    watching = reconciler()
    for _ in range(3):
        watching.look(staffed)
    assert published_again() == {}
    settings.RECONCILE_AFTER = 0.0
    watching.look(staffed)
    assert len(published_again()) == 1


def test_a_task_that_is_seen_meanwhile_is_watched_anew(
    staffed: Connection, settings: Settings
) -> None:
    settings.RECONCILE_AFTER = 3600.0
    waiting, held = lost_job(), lost_job()
    watching = reconciler()
    watching.look(staffed)
    suspected = time.monotonic()
    with transaction.atomic():
        submission.dispatch(waiting)
    report("compute", held.id)
    watching.look(staffed)
    OutboxMessage.objects.all().delete()
    report("compute")
    settings.RECONCILE_AFTER = time.monotonic() - suspected
    watching.look(staffed)
    assert published_again() == {}


def test_a_look_that_says_nothing_neither_confirms_nor_ends_a_suspicion(
    staffed: Connection, settings: Settings
) -> None:
    settings.RECONCILE_AFTER = 3600.0
    job = lost_job()
    watching = reconciler()
    watching.look(staffed)
    settings.RECONCILE_AFTER = 0.0001
    put(staffed, "warren.tasks", "compute.run")
    watching.look(staffed)
    assert published_again() == {}
    with opened(staffed) as channel:
        channel.queue_purge("compute")
    watching.look(staffed)
    assert list(published_again()) == [job.id]


def test_a_task_in_the_hands_of_a_worker_is_left_in_peace(staffed: Connection) -> None:
    job = lost_job(state="running")
    report("compute", job.id)
    reconciler().look(staffed)
    assert published_again() == {}


def test_a_task_whose_message_waits_in_the_outbox_is_left_in_peace(staffed: Connection) -> None:
    job = lost_job()
    with transaction.atomic():
        submission.dispatch(job, available_at=datetime.now(UTC) + timedelta(hours=1))
    reconciler().look(staffed)
    assert OutboxMessage.objects.count() == 1


@pytest.mark.parametrize(
    ("exchange", "key"),
    [("warren.tasks", "compute.run"), ("warren.results.compute", "x"), ("warren.dead", "x")],
)
def test_nothing_is_concluded_while_messages_wait(
    staffed: Connection, exchange: str, key: str
) -> None:
    lost_job()
    put(staffed, exchange, key)
    reconciler().look(staffed)
    assert published_again() == {}


def test_nothing_is_concluded_while_no_worker_reports(staffed: Connection) -> None:
    lost_job()
    Worker.objects.update(seen_at=datetime.now(UTC) - 2 * workers.SEEN)
    reconciler().look(staffed)
    assert published_again() == {}


def test_nothing_is_concluded_while_a_consumer_does_not_report(staffed: Connection) -> None:
    lost_job()
    with ExitStack() as consuming:
        consume(consuming, staffed, "compute")  # a frozen worker, which may hold anything
        reconciler().look(staffed)
        assert published_again() == {}
        report("compute", node="compute-2@host")
        reconciler().look(staffed)
        assert len(published_again()) == 1


def test_a_task_that_others_have_overtaken_by_far_is_lost_although_the_queue_is_not_empty(
    staffed: Connection, settings: Settings
) -> None:
    now = datetime.now(UTC)
    ages = (settings.RECONCILE_OVERTAKEN * factor for factor in (1.2, 0.8, 0))
    lost, waiting, running = (
        lost_job(dispatched_at=now - timedelta(seconds=seconds)) for seconds in ages
    )
    report("compute", running.id)
    put(staffed, "warren.tasks", "compute.run")
    reconciler().look(staffed)
    assert list(published_again()) == [lost.id]
    assert waiting.id not in published_again()


def test_a_task_that_keeps_getting_lost_fails_in_the_end(
    staffed: Connection, settings: Settings
) -> None:
    job, email = lost_job(), make_mail()
    watching = reconciler()
    for _ in range(settings.RECONCILE_LIMIT):
        watching.look(staffed)
        assert OutboxMessage.objects.all().delete()[0] == 2
    watching.look(staffed)
    job.refresh_from_db()
    email.refresh_from_db()
    assert job.error == {"type": "Lost", "message": "its message got lost 4 times"}
    assert (job.state, job.republished, email.state) == ("failed", 3, "failed")
    assert email.answer == "its message got lost 4 times"
    assert job.finished_at
    assert email.failed_at
    assert published_again() == {}


def test_an_operator_who_replays_grants_new_tries() -> None:
    job = lost_job(state="failed", republished=3)
    email = make_mail(state="failed", republished=3)
    with transaction.atomic():
        JOBS.replay([job.id])
        MAILS.replay([email.id])
    assert Job.objects.get().republished == Email.objects.get().republished == 0


def test_what_is_finished_or_cancelled_is_never_published_again(staffed: Connection) -> None:
    for state in Job.FINAL:
        lost_job(state=state)
    cancelled = lost_job(state="running")
    cancellation.cancel(cancelled.owner, cancelled.id)
    OutboxMessage.objects.all().delete()  # the revoking
    for outcome in Email.FINAL:
        make_mail(state=outcome)
    reconciler().look(staffed)
    assert published_again() == {}


def test_two_reconcilers_publish_a_task_once(staffed: Connection, settings: Settings) -> None:
    settings.RECONCILE_AFTER = 3600.0
    job = lost_job()
    first, second = reconciler(), reconciler()
    for each in (first, second):
        each.look(staffed)
    settings.RECONCILE_AFTER = 0.0
    first.look(staffed)
    assert list(published_again()) == [job.id]
    OutboxMessage.objects.all().delete()  # the relay has published it
    settings.RECONCILE_AFTER = 1.0
    second.look(staffed)
    assert published_again() == {}


def test_many_are_published_again_in_several_transactions(staffed: Connection) -> None:
    owner = make_user()
    Job.objects.bulk_create(
        Job(owner=owner, computation="add", arguments={}, soft_time_limit=1, time_limit=2)
        for _ in range(BATCH + 1)
    )
    reconciler().look(staffed)
    assert len(published_again()) == Job.objects.filter(republished=1).count() == BATCH + 1


def test_a_mail_whose_message_cannot_be_made_fails_alone_and_can_be_repaired(
    staffed: Connection,
) -> None:
    wrong = {"days": 3}  # not the text that the contract asks for
    bad, good, job = make_mail(context=wrong), [make_mail() for _ in range(3)], lost_job()
    with capture_logs() as logged:
        reconciler().look(staffed)
    assert published_again().keys() == {job.id, *(email.id for email in good)}
    (told,) = [each for each in logged if each["event"] == "its message cannot be made"]
    assert told["task_id"] == str(bad.id)
    bad.refresh_from_db()
    assert bad.state == "failed"
    assert bad.answer.startswith("its message cannot be made: mailer.send_email: Expected `str`")
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.task_id) == ("unmade", bad.id)
    assert "Expected `str`" in letter.detail

    (refusal,) = repair.replay([letter.pk], "ops")
    assert refusal.detail.startswith("its message still cannot be made: mailer.send_email")
    bad.refresh_from_db()
    assert bad.state == "failed"

    Email.objects.filter(pk=bad.pk).update(context={"days": "3"})
    assert repair.replay([letter.pk], "ops") == []
    bad.refresh_from_db()
    letter.refresh_from_db()
    assert (bad.state, letter.state) == ("queued", "replayed")
    assert bad.id in published_again()


def test_a_job_whose_message_cannot_be_made_fails_alone(staffed: Connection) -> None:
    bad, good = lost_job(arguments=[1, 2]), lost_job()
    reconciler().look(staffed)
    assert published_again().keys() == {good.id}
    bad.refresh_from_db()
    assert bad.state == "failed"
    assert bad.error_message.startswith("its message cannot be made: compute.run: Expected")


def test_what_cannot_even_fail_stops_nothing_else(
    staffed: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = make_mail(context={"days": 3}), make_mail()
    give_up = MAILS.give_up
    monkeypatch.setattr(
        MAILS, "give_up", lambda ids, reason: give_up(ids, reason) if not ids else 1 // 0
    )
    with capture_logs() as logged:
        reconciler().look(staffed)
    assert published_again().keys() == {good.id}
    assert "it cannot be given up either" in [each["event"] for each in logged]
    bad.refresh_from_db()
    assert bad.state == "queued"
    assert not DeadLetter.objects.exists()
