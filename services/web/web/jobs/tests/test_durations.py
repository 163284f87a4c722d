"""What is known of how long computations take, and which jobs the relay may send together."""

from datetime import timedelta

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from contracts.events import Catalogue, TaskState
from contracts.events import Computation as Announced
from web import recent
from web.accounts.models import User
from web.jobs import catalogue, durations
from web.jobs.models import Computation
from web.jobs.results import JOBS
from web.jobs.tests.factories import BEGINNING, event, make_computation, make_job
from web.messaging.models import OutboxMessage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "EVERY", 0)
    monkeypatch.setattr(durations, "_next_look", 0)


def run(user: User, *seconds: float, computation: str = "add", state: str = "SUCCESS") -> None:
    """Let jobs end at a time, after runs of so many seconds."""
    ends = [event(make_job(user, computation=computation).id, TaskState(state)) for _ in seconds]
    JOBS.apply(
        [
            msgspec.structs.replace(end, started_at=end.at - timedelta(seconds=each))
            for end, each in zip(ends, seconds, strict=True)
        ]
    )


def expected(name: str = "add") -> float | None:
    return Computation.objects.get(name=name).expected


def test_the_mean_of_late_runs_is_expected(user: User) -> None:
    make_computation("other")
    make_computation("never_run")
    assert expected() is None
    run(user, 0.0, 0.0)
    run(user, 0.3, computation="other")
    assert expected() == pytest.approx(0, abs=0.01)
    for _ in range(20):
        run(user, 0.0, computation="other")
        run(user, 0.0, state="FAILURE")
    late = expected("other")
    assert late is not None
    assert late < 0.1
    assert expected("never_run") is None


def test_a_collector_looks_once_in_a_while(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "EVERY", 3600)
    run(user, 0.0)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        run(user, 0.0)
    assert not [query for query in queries if "jobs_computation" in query["sql"]]


def test_an_announcement_leaves_it_as_it_is(user: User) -> None:
    Computation.objects.update(expected=0.25)
    again = Announced(
        name="add", summary="", description="", arguments={}, result={}, soft_time_limit=1,
        time_limit=2, memory_limit=3,
    )  # fmt: skip
    catalogue.announce(Catalogue(worker="w", at=BEGINNING, computations=[again]))
    assert expected() == 0.25


@pytest.mark.parametrize("seconds", [None, 0.25])
def test_messages_of_first_runs_say_how_long_they_are_expected_to_take(
    client: APIClient, seconds: float | None
) -> None:
    Computation.objects.update(expected=seconds)
    recent.forget_all()
    job = {"computation": "add", "arguments": {"x": 1, "y": 2}}
    client.post("/api/v1/jobs", job, format="json")
    client.post("/api/v1/jobs/batch", {"jobs": [job, job]}, format="json")
    sent = OutboxMessage.objects.all()
    assert [message.expected for message in sent] == [seconds] * 3
    task_id = sent[0].task_id
    assert task_id
    sent.delete()
    JOBS.apply([event(task_id, TaskState.RETRY)])
    assert OutboxMessage.objects.get().expected is None
