"""Clocks of workers, collectors and web are wrong: what is decided and shown stays sensible."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from msgspec import structs
from rest_framework.test import APIClient

from contracts.events import Catalogue, TaskEvent, TaskState
from web.jobs import catalogue, submission
from web.jobs.models import Computation, Job
from web.jobs.results import JOBS
from web.jobs.tests import factories as jobs
from web.mail import results as mail_results
from web.mail.models import Email, EmailAttempt
from web.mail.tests import factories as mails
from web.messaging.models import OutboxMessage
from web.postgresql import clock

pytestmark = pytest.mark.django_db
S = TaskState
HOUR = timedelta(hours=1)
TOOK = timedelta(seconds=30)


@pytest.fixture
def job() -> Job:
    """One that was asked for ten minutes ago."""
    job = jobs.make_job(jobs.make_user())
    Job.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(minutes=10))
    job.refresh_from_db()
    return job


@pytest.fixture(params=[-HOUR, HOUR], ids=["behind", "ahead"])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """Let this process, whatever it is, be wrong by an hour; PostgreSQL's clock is right."""
    skew: timedelta = request.param
    original: Callable[[], datetime] = timezone.now
    monkeypatch.setattr("django.utils.timezone.now", lambda: original() + skew)
    return skew


def run(task: TaskEvent, began: datetime, state: TaskState, took: timedelta) -> TaskEvent:
    return structs.replace(task, state=state, started_at=began, at=began + took)


def run_job(job: Job, began: datetime, ending: TaskState = S.SUCCESS, attempt: int = 1) -> Job:
    """Let a job start and end, by the clock of its worker."""
    for state, took in ((S.STARTED, timedelta()), (ending, TOOK)):
        with transaction.atomic():
            JOBS.apply([run(jobs.event(job.id, ending, attempt), began, state, took)])
    job.refresh_from_db()
    return job


def test_a_job_shows_the_times_of_a_worker_that_may_be_right(job: Job) -> None:
    began = job.created_at + timedelta(minutes=2)
    run_job(job, began)
    assert (job.started_at, job.finished_at) == (began, began + TOOK)


@pytest.mark.parametrize("skew", [-24 * HOUR, -HOUR, HOUR, 24 * HOUR])
def test_a_job_shows_how_long_it_took_whatever_its_workers_clock_says(
    job: Job, skew: timedelta
) -> None:
    before = clock.now()
    run_job(job, before + skew)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert before <= job.finished_at <= clock.now()
    assert job.finished_at - job.started_at == TOOK


@pytest.mark.parametrize("skew", [-HOUR, timedelta(), HOUR])
@pytest.mark.parametrize("ending", [S.SUCCESS, S.FAILURE, S.REVOKED])
def test_no_job_ends_before_it_began_or_begins_before_it_was_asked_for(
    skew: timedelta, ending: TaskState
) -> None:
    job = jobs.make_job(jobs.make_user())
    run_job(job, clock.now() + skew, ending)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at <= clock.now()


def test_a_run_that_another_clock_ended_does_not_end_before_it_began(job: Job) -> None:
    began = job.created_at + timedelta(minutes=5)
    start = run(jobs.event(job.id, S.STARTED), began, S.STARTED, timedelta())
    end = structs.replace(
        jobs.event(job.id, S.FAILURE), at=began - timedelta(minutes=2), started_at=None
    )
    with transaction.atomic():
        JOBS.apply([start])
        JOBS.apply([end])
    job.refresh_from_db()
    assert job.started_at == job.finished_at == began


def test_a_cancelled_job_ended_when_the_database_says(job: Job, wrong_clock: timedelta) -> None:
    client = APIClient()
    client.force_authenticate(job.owner)
    before = clock.now()
    answer = client.post(f"/api/v1/jobs/{job.pk}/cancel").json()
    assert before <= datetime.fromisoformat(answer["finished_at"]) <= clock.now()


def test_a_job_is_tried_again_in_time_by_a_collector_with_a_wrong_clock(
    job: Job, wrong_clock: timedelta, settings: Any
) -> None:
    settings.JOB_RETRY_FIRST, settings.JOB_RETRY_FOR = 10, 1800
    Job.objects.filter(pk=job.pk).update(queued_at=Now() - timedelta(minutes=10))
    run_job(job, job.created_at, S.RETRY)
    waits = OutboxMessage.objects.values_list(F("due_at") - Now())
    assert timedelta(0) < waits.get(task_id=job.pk)[0] <= timedelta(seconds=10)


def test_a_job_is_given_up_in_time_by_a_collector_with_a_wrong_clock(
    job: Job, wrong_clock: timedelta, settings: Any
) -> None:
    settings.JOB_RETRY_FOR = 1800
    Job.objects.filter(pk=job.pk).update(queued_at=Now() - timedelta(minutes=31))
    run_job(job, job.created_at, S.RETRY, attempt=2)
    assert job.state == "failed"
    assert job.finished_at is not None
    assert job.started_at is not None
    assert job.started_at <= job.finished_at <= clock.now()


def test_a_job_that_is_replayed_counts_from_then(job: Job, wrong_clock: timedelta) -> None:
    Job.objects.filter(pk=job.pk).update(state="failed")
    before = clock.now()
    JOBS.replay([job.pk])
    job.refresh_from_db()
    assert before <= job.queued_at <= clock.now()


def test_a_mail_is_tried_again_in_time_by_a_collector_with_a_wrong_clock(
    wrong_clock: timedelta, settings: Any
) -> None:
    settings.MAIL_RETRY_FIRST, settings.MAIL_RETRY_FOR = 10, 1800
    email = mails.make_mail()
    mails.arrive(mails.event(email.id, S.RETRY))
    waits = OutboxMessage.objects.values_list(F("due_at") - Now())
    assert timedelta(0) < waits.get(task_id=email.pk)[0] <= timedelta(seconds=10)


@pytest.mark.parametrize("skew", [-HOUR, HOUR])
def test_a_mail_shows_times_that_can_be(skew: timedelta) -> None:
    email = mails.make_mail(created_at=Now())
    sent = structs.replace(mails.event(email.id, S.SUCCESS), at=clock.now() + skew)
    mails.arrive(structs.replace(sent, started_at=sent.at))
    email.refresh_from_db()
    assert email.sent_at is not None
    assert email.created_at <= email.sent_at <= clock.now()
    assert email.created_at <= EmailAttempt.objects.get().at <= clock.now()


@pytest.mark.parametrize("skew", [-96 * HOUR, 96 * HOUR])
def test_a_failed_mail_can_be_repeated_as_long_as_any_other(skew: timedelta) -> None:
    email = mails.make_mail(created_at=Now() - timedelta(days=30))
    mails.arrive(structs.replace(mails.event(email.id, S.FAILURE), at=clock.now() + skew))
    Email.objects.update(failed_at=F("failed_at") - mail_results.REPEATABLE_FOR + HOUR)
    mails.arrive(mails.event(mails.make_mail().id, S.STARTED))  # erases what is too old
    email.refresh_from_db()
    assert email.context is not None
    Email.objects.filter(pk=email.pk).update(failed_at=F("failed_at") - 2 * HOUR)
    mails.arrive(mails.event(mails.make_mail().id, S.STARTED))
    email.refresh_from_db()
    assert email.context is None


def test_a_collector_with_a_wrong_clock_withdraws_no_computation(wrong_clock: timedelta) -> None:
    jobs.make_computation("seen_by_another", announced_at=clock.now())
    catalogue.announce(Catalogue(worker="c", at=datetime.now(UTC), computations=[]))
    assert Computation.objects.get().available
    Computation.objects.update(announced_at=Now() - catalogue.WITHDRAWN_AFTER * 2)
    catalogue.announce(Catalogue(worker="c", at=datetime.now(UTC), computations=[]))
    assert not Computation.objects.get().available


def test_a_job_of_a_web_with_a_wrong_clock_is_published_at_once(wrong_clock: timedelta) -> None:
    submission.submit(jobs.make_user(), jobs.make_computation(), {"x": 4, "y": 6}, None)
    assert OutboxMessage.objects.filter(due_at__lte=Now()).count() == 1
