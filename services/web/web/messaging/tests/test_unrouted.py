"""Tasks that found no queue go back into the outbox, each once."""

from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from web.messaging.broker.arrivals import Arrival
from web.messaging.inbox import unrouted
from web.messaging.letters import making
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.outbox import leases
from web.messaging.tests.factories import dead_message

pytestmark = pytest.mark.django_db


def come_back(task_id: UUID, outbox_id: int) -> DeadLetter:
    """A task as its alternate exchange gives it to the collector."""
    sent = dead_message(task_id, outbox_id=str(outbox_id), refusals=1)
    headers = {name: value for name, value in sent.headers.items() if name != "x-death"}
    return making.of_arrival(
        Arrival(headers, sent.properties, sent.body, sent.routing_key, "warren.tasks")
    )


def waiting(task_id: UUID) -> list[int]:
    found = OutboxMessage.objects.filter(task_id=task_id).order_by("pk")
    return list(found.values_list("refusals", flat=True))


@pytest.fixture
def task_id() -> UUID:
    return uuid4()


def test_a_task_that_comes_back_twice_waits_once(task_id: UUID) -> None:
    for _ in range(2):
        assert unrouted.take_back([come_back(task_id, outbox_id=17)]) == []
    assert waiting(task_id) == [2]


def test_a_task_that_comes_back_before_its_relay_has_deleted_it_is_not_lost(task_id: UUID) -> None:
    unrouted.take_back([come_back(task_id, outbox_id=17)])
    OutboxMessage.objects.update(due_at=timezone.now())
    [published] = leases.claim(1)

    unrouted.take_back([come_back(task_id, outbox_id=published.pk)])
    leases.delete(published)

    assert waiting(task_id) == [2]
