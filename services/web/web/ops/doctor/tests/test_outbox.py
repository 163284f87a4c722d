"""What is read out of the outbox, and of those who empty it."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from web.messaging.models import OutboxMessage
from web.messaging.outbox import outbox as messages
from web.ops.doctor import outbox
from web.ops.doctor.finding import Finding, Level

pytestmark = pytest.mark.django_db


def found_with(**changes: object) -> list[Finding]:
    with transaction.atomic():
        messages.broadcast("revoke", {})
    OutboxMessage.objects.update(**changes)
    return list(outbox.look_at_outbox())


def test_a_message_that_waits_for_its_time_is_well() -> None:
    (finding,) = found_with(due_at=Now() + timedelta(hours=1))
    assert (finding.level, finding.found) == (Level.OK, "0 messages are due, 1 are for later")


def test_a_message_that_does_not_leave_is_a_problem() -> None:
    late = timedelta(seconds=settings.OUTBOX_LATE + 15)
    (finding,) = found_with(due_at=Now() - late)
    assert finding.level == Level.PROBLEM
    assert finding.found == "1 messages are due, the oldest for 75 s"


def test_a_refusal_is_told_in_the_brokers_words() -> None:
    (finding,) = found_with(refusals=3, last_refusal="a queue is full", routing_key="compute.run")
    assert finding.level == Level.WARNING
    assert finding.found == "1 messages compute.run were refused: a queue is full"


def test_a_lease_that_has_run_out_tells_of_a_dead_relay() -> None:
    (finding,) = found_with(leased_until=Now() - timedelta(seconds=1))
    assert finding.level == Level.WARNING
    assert "1 messages were claimed by a relay that has died" in finding.found
