"""Jobs and mails that do not get on."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from contracts.events import WorkerReport
from web.accounts.models import User
from web.jobs import submission
from web.jobs.models import Job
from web.jobs.tests.factories import make_job, make_user
from web.mail.models import EmailAttempt
from web.mail.tests.factories import make_mail
from web.messaging.inbox import workers
from web.ops.doctor.finding import Level
from web.ops.doctor.work import look_at_jobs, look_at_mails, look_at_tasks
from web.tasks.models import Task

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(hours=1)


@pytest.fixture
def user() -> User:
    return make_user()


def running(user: User, **changes: Any) -> Job:
    times = {"started_at": Now() - LONG_AGO, "time_limit": 7200}
    return make_job(user, **{"state": Job.State.RUNNING, **times, **changes})


def take_in_hand(task_id: UUID) -> None:
    worker = WorkerReport(
        service="compute", worker="w", at=datetime.now(UTC), holding=[str(task_id)], checks={}
    )
    workers.record([worker])


def warnings_of_jobs() -> list[str]:
    return [each.found for each in look_at_jobs() if each.level == Level.WARNING]


def test_a_job_in_a_workers_hands_is_well(user: User) -> None:
    take_in_hand(running(user).id)
    assert not warnings_of_jobs()


def test_a_job_that_has_just_begun_need_not_be_in_a_report(user: User) -> None:
    running(user, started_at=Now())
    assert not warnings_of_jobs()


def test_a_job_that_runs_nowhere_is_told(user: User) -> None:
    running(user)
    assert warnings_of_jobs() == ["1 jobs are running, but no worker has them in hand"]


def test_a_run_without_an_end_is_told_although_a_worker_has_it(user: User) -> None:
    take_in_hand(running(user, time_limit=60).id)
    assert warnings_of_jobs() == ["1 jobs run for longer than their limit allows"]


def test_a_job_that_waits_for_long_is_told_unless_it_is_in_the_outbox(user: User) -> None:
    job = make_job(user, dispatched_at=Now() - LONG_AGO)
    assert warnings_of_jobs() == ["1 jobs wait for a worker, the oldest for 60 minutes"]
    with transaction.atomic():
        submission.dispatch(job)
    assert not warnings_of_jobs()


def test_how_long_a_job_has_waited_is_told_by_the_databases_clock(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(user, dispatched_at=Now() - LONG_AGO)
    fast = timezone.now() + 5 * LONG_AGO
    monkeypatch.setattr(timezone, "now", lambda: fast)
    assert warnings_of_jobs() == ["1 jobs wait for a worker, the oldest for 60 minutes"]


def test_finished_jobs_are_nobodys_business(user: User) -> None:
    running(user, state=Job.State.SUCCEEDED)
    assert not warnings_of_jobs()


def test_a_mail_that_is_tried_again_shows_the_last_answer() -> None:
    make_mail(state="retrying", answer="450 4.2.1 busy", next_attempt_at=Now() + LONG_AGO)
    (finding,) = look_at_mails()
    assert finding.level == Level.WARNING
    assert finding.found.startswith("1 mails are tried again, the next at ")
    assert finding.found.endswith("last answer: 450 4.2.1 busy")


def test_a_task_that_nobody_runs_is_told() -> None:
    task = Task.objects.create(name="compute.run", message=b"{}", state="running")
    assert [each.level for each in look_at_tasks()] == [Level.OK]
    Task.objects.filter(pk=task.pk).update(started_at=Now() - LONG_AGO)
    (finding,) = look_at_tasks()
    assert finding.found == "1 tasks are running, but no worker has them in hand"


def test_a_mail_that_nobody_sends_is_told_by_its_last_attempt() -> None:
    mail = make_mail(state="sending", queued_at=Now() - LONG_AGO)
    attempt = EmailAttempt.objects.create(
        email=mail, number=2, phase=1, at=datetime.now(UTC), outcome="started"
    )
    assert [each.level for each in look_at_mails()] == [Level.OK]
    EmailAttempt.objects.filter(pk=attempt.pk).update(at=Now() - LONG_AGO)
    (finding,) = look_at_mails()
    assert finding.found == "1 mails are sending, but no worker has them in hand"
