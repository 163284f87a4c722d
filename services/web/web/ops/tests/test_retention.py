"""What has been kept for long enough is deleted, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model
from django.db.models.functions import Now

from web.accounts.models import RateUsage, Registration, User
from web.jobs.models import Job, JobBatch
from web.jobs.tests.factories import make_job, make_user
from web.mail.models import Email, EmailAttempt
from web.mail.results import REPEATABLE_FOR
from web.messaging.models import DeadLetter, OutboxMessage
from web.ops import retention
from web.ops.tasks import prune
from web.postgresql import clock
from web.tasks.models import Task, TaskGroup
from web.tasks.testing import drain

pytestmark = pytest.mark.django_db


def age(row: Model, days: float, field: str = "created_at") -> None:
    type(row)._default_manager.filter(pk=row.pk).update(**{field: Now() - timedelta(days=days)})


def make_letter(state: str) -> DeadLetter:
    return DeadLetter.objects.create(
        fingerprint=state, reason="rejected", exchange="", headers={}, properties={}, state=state
    )


def make_mail(state: str) -> Email:
    mail = Email.objects.create(template="welcome", recipient="a@example.org", state=state)
    EmailAttempt.objects.create(email=mail, number=1, phase=7, outcome="sent", at=clock.now())
    return mail


def make_batch(owner: User) -> JobBatch:
    return JobBatch.objects.create(owner=owner, idempotency_key="k", digest="d", answer={})


def make_task(state: str, number: int = 0) -> Task:
    return Task.objects.create(name=f"a{number}", service="tasks", state=state)


def test_a_chord_that_is_not_complete_keeps_what_it_counts() -> None:
    group = TaskGroup.objects.create(pk="0" * 32, chord_size=2)
    ended, running = make_task("succeeded"), make_task("running", 1)
    Task.objects.update(group_id=group.pk)
    for row in (group, ended, running):
        age(row, 100)
    assert retention.prune(10) == ({}, True)
    Task.objects.update(state="succeeded")
    assert retention.prune(10) == ({"tasks": 2, "groups of tasks": 1}, True)


def test_contents_of_failed_mails_go_also_if_no_new_mail_does_it() -> None:
    mail = make_mail("failed")
    context = {"key": "planted"}
    Email.objects.update(context=context, failed_at=Now() - REPEATABLE_FOR - timedelta(hours=1))
    assert retention.prune(10) == ({"contents of mails": 1}, True)
    mail.refresh_from_db()
    assert mail.context is None


def test_time_that_erasing_contents_uses_up_leaves_something_to_do() -> None:
    Email.objects.bulk_create(
        [Email(template="welcome", recipient="a@example.org", state="failed") for _ in range(110)]
    )
    Email.objects.update(context={}, failed_at=Now() - REPEATABLE_FOR - timedelta(hours=1))
    assert retention.prune(0) == ({"contents of mails": 100}, False)
    assert retention.prune(60) == ({"contents of mails": 10}, True)


def test_what_has_ended_goes_after_its_days(settings: Any) -> None:
    user = make_user()
    old: list[Model] = [
        make_job(user, state="succeeded"), make_mail("failed"), make_letter("replayed"),
        make_task("cancelled"), TaskGroup.objects.create(pk="0" * 32), make_batch(user),
    ]  # fmt: skip
    for row in old:
        age(row, 100)
    deleted, complete = retention.prune(10)
    assert complete
    assert deleted == {
        "jobs": 1, "mails": 1, "dead letters": 1, "tasks": 1, "groups of tasks": 1,
        "job batches": 1,
    }  # fmt: skip
    assert not EmailAttempt.objects.exists()
    assert [model.objects.count() for model in (Job, Email, DeadLetter, Task, JobBatch)] == [0] * 5


def test_what_has_not_ended_or_is_young_stays() -> None:
    user = make_user()
    young: list[Model] = [
        make_job(user, state="succeeded"), make_mail("sent"), make_task("failed"), make_batch(user),
    ]  # fmt: skip
    for row in young:
        age(row, 29)
    unfinished: list[Model] = [
        make_job(user, state="queued"), make_job(user, state="running"), make_mail("retrying"),
        make_letter("waiting"), make_task("queued"), make_task("running"),
    ]  # fmt: skip
    for row in unfinished:
        age(row, 1000)
    assert retention.prune(10) == ({}, True)


def test_no_days_are_for_ever(settings: Any) -> None:
    age(make_task("failed"), 1000)
    settings.KEEP_TASKS = 0
    assert retention.prune(10) == ({}, True)
    settings.KEEP_TASKS = 999
    assert retention.prune(10) == ({"tasks": 1}, True)


def test_what_has_an_end_of_its_own_goes_then() -> None:
    for offset, key in ((-1, "past"), (1, "coming")):
        end = clock.now() + timedelta(hours=offset)
        Session.objects.create(session_key=key, session_data="", expire_date=end)
        RateUsage.objects.create(key=key, uses=1, ends_at=end)
        made = clock.now() - Registration.VALID_FOR + timedelta(hours=offset)
        Registration.objects.create(email=f"{key}@example.org", password="x", created_at=made)
    deleted, _ = retention.prune(10)
    assert deleted == {"sessions": 1, "registrations": 1, "rates": 1}
    assert Session.objects.get().session_key == RateUsage.objects.get().key == "coming"


def test_many_rows_go_in_batches_and_the_rest_in_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    rows = Task.objects.bulk_create(
        [Task(name="a", service="tasks", state="failed") for _ in range(35)]
    )
    Task.objects.update(created_at=Now() - timedelta(days=100))
    assert retention.prune(0) == ({"tasks": 10}, False)
    assert retention.prune(60) == ({"tasks": 25}, True)
    assert len(rows) == 35


@pytest.mark.django_db(transaction=True)
def test_what_somebody_has_locked_is_left_alone() -> None:
    for number in range(2):
        age(make_task("failed", number), 100)
    connection.close()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT id FROM tasks_task WHERE name = 'a0' FOR UPDATE")
            assert retention.prune(10) == ({"tasks": 1}, True)
    finally:
        other.close()
    assert Task.objects.get().name == "a0"


def test_it_runs_as_a_task_and_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [({"tasks": 7}, False), ({"tasks": 2}, True)]
    monkeypatch.setattr(retention, "prune", lambda _: answers.pop(0))
    result = prune.delay()
    assert drain() == ["web.prune", "web.prune"]
    assert result.get() == {"tasks": 7}
    assert not OutboxMessage.objects.exists()
