"""What is said of the computations, and of dead letters."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from contracts import events
from web.jobs import catalogue as announcements
from web.jobs.models import Computation
from web.messaging.models import DeadLetter
from web.ops.doctor.catalogue import look_at_catalogue
from web.ops.doctor.dead_letters import look_at_dead_letters
from web.ops.doctor.finding import Level

pytestmark = pytest.mark.django_db


def announce() -> None:
    add = events.Computation(
        name="add", summary="Add.", description="", arguments={}, result={},
        soft_time_limit=1, time_limit=2, memory_limit=64,
    )  # fmt: skip
    catalogue = events.Catalogue(worker="w", at=datetime.now(UTC), computations=[add])
    announcements.announce(catalogue)


def test_without_a_catalogue_no_job_can_be_submitted() -> None:
    (finding,) = look_at_catalogue()
    assert finding.level == Level.PROBLEM
    assert "compute" in finding.way_out


def test_a_catalogue_is_well_until_nobody_announces_it_any_more() -> None:
    announce()
    assert [finding.level for finding in look_at_catalogue()] == [Level.OK]
    Computation.objects.update(announced_at=Now() - timedelta(hours=1))
    assert [finding.level for finding in look_at_catalogue()] == [Level.WARNING]


def bury(reason: str, number: int, state: str = DeadLetter.State.WAITING) -> None:
    DeadLetter.objects.create(
        fingerprint=f"{reason}{number}", state=state, reason=reason, exchange="", headers={},
        properties={}, body=b"",
    )  # fmt: skip


def test_dead_letters_that_were_dealt_with_are_well() -> None:
    bury("rejected", 1, DeadLetter.State.DISCARDED)
    assert [finding.found for finding in look_at_dead_letters()] == ["none waits"]


def test_dead_letters_are_counted_by_reason() -> None:
    for number in range(2):
        bury("delivery_limit", number)
    bury("unrouted", 1)
    first, second = look_at_dead_letters()
    assert (first.level, second.level) == (Level.WARNING, Level.WARNING)
    assert first.found.startswith("2 wait for a decision: delivery_limit")
    assert "manage.py dead_letters list --reason delivery_limit" in first.way_out
    assert first.way_out.endswith("then replay")
    assert second.way_out.endswith("a replay brings it back")
