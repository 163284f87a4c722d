"""What Prometheus is told."""

import pytest
from django.db import transaction
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from contracts.topology import SERVICES
from web.jobs import submission
from web.jobs.models import Job
from web.jobs.tests.factories import make_job, make_user
from web.mail.tests.factories import make_mail
from web.messaging.models import DeadLetter

pytestmark = pytest.mark.django_db


def figures() -> dict[tuple[str, ...], float]:
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_every_figure_is_there_when_there_is_nothing_to_count() -> None:
    workers: dict[tuple[str, ...], float] = {("warren_workers", service): 0 for service in SERVICES}
    assert figures() == workers | {
        ("warren_outbox_due",): 0,
        ("warren_outbox_oldest_due_seconds",): 0,
        ("warren_outbox_scheduled",): 0,
        ("warren_jobs", "queued"): 0,
        ("warren_jobs", "running"): 0,
        ("warren_mails", "queued"): 0,
        ("warren_mails", "sending"): 0,
        ("warren_mails", "retrying"): 0,
        ("warren_tasks", "queued"): 0,
        ("warren_tasks", "running"): 0,
    }


def test_what_is_unfinished_is_counted() -> None:
    user = make_user()
    make_job(user, state=Job.State.RUNNING)
    make_job(user, state=Job.State.SUCCEEDED)
    with transaction.atomic():
        submission.dispatch(make_job(user))
    make_mail(state="retrying")
    DeadLetter.objects.create(
        fingerprint="1", reason="rejected", exchange="", headers={}, properties={}, body=b""
    )
    found = figures()
    assert found["warren_jobs", "queued"] == found["warren_jobs", "running"] == 1
    assert found["warren_mails", "retrying"] == 1
    assert found["warren_outbox_due",] == 1
    assert found["warren_dead_letters", "rejected"] == 1
