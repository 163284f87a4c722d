"""The relay against a real broker: confirmed, refused, returned, unencodable."""

import socket
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from kombu import Connection, Queue

from contracts import topology
from contracts.tasks import RUN_COMPUTATION, RunComputation
from runtime.liveness import LivenessFile
from web.messaging.letters import dead_letters
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.outbox import outbox
from web.messaging.outbox.publisher import Publisher
from web.messaging.outbox.relay import relay_batch
from web.messaging.processes.lifecycle import BROKER_ERRORS, StopSignal

pytestmark = pytest.mark.django_db


def store() -> UUID:
    task_id = uuid4()
    payload = RunComputation(job_id=str(task_id), computation="add", arguments={"x": 1})
    with transaction.atomic():
        outbox.send(RUN_COMPUTATION, payload, task_id=task_id)
    return task_id


def relay_some(publisher: Publisher) -> int:
    return relay_batch(publisher, StopSignal(), LivenessFile(""), dead_letters.park)


def open_channel(amqp: Connection) -> Any:
    """Open a channel of py-amqp, which kombu's types do not describe."""
    return amqp.channel()


def taken(amqp: Connection, queue: str) -> list[str]:
    """Correlation ids of all that waits in a queue."""
    ids = []
    channel = open_channel(amqp)
    while message := channel.basic_get(queue, no_ack=True):
        ids.append(message.properties["correlation_id"])
    return ids


def test_due_messages_are_published_and_forgotten(amqp: Connection) -> None:
    ids = [store() for _ in range(250)]
    with Publisher() as publisher:
        published = 0
        while batch := relay_some(publisher):
            published += batch
    assert published == 250
    assert taken(amqp, "compute") == [str(task_id) for task_id in ids]
    assert not OutboxMessage.objects.exists()


def test_a_stored_message_is_published_byte_for_byte(amqp: Connection) -> None:
    store()
    stored = OutboxMessage.objects.get()
    with Publisher() as publisher:
        relay_some(publisher)
    message = open_channel(amqp).basic_get("compute")
    assert message.body.encode() == bytes(stored.body)
    assert stored.headers.items() <= message.headers.items()
    assert message.properties["delivery_mode"] == 2


def test_a_full_queue_postpones_and_loses_nothing(
    amqp: Connection, django_assert_max_num_queries: Any
) -> None:
    with open_channel(amqp) as channel:
        channel.queue_delete("compute")
        arguments = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        Queue("compute", topology.TASKS, "compute.#", queue_arguments=arguments)(channel).declare()
    ids = set()
    with Publisher() as publisher:
        for _ in range(2):  # the broker notices the limit only when it has been passed
            ids |= {str(store()) for _ in range(10)}
            with django_assert_max_num_queries(4):  # however many are refused
                relay_some(publisher)
    left = {str(message.task_id) for message in OutboxMessage.objects.all()}
    assert left
    assert left | set(taken(amqp, "compute")) == ids
    assert set(OutboxMessage.objects.values_list("refusals", flat=True)) == {1}


def test_a_message_that_no_queue_wants_is_caught(amqp: Connection) -> None:
    store()
    OutboxMessage.objects.update(routing_key="nobody.knows")
    with Publisher() as publisher:
        relay_some(publisher)
    assert not OutboxMessage.objects.exists()
    assert len(taken(amqp, "web.dead")) == 1


def test_a_message_that_the_broker_returns_is_parked_with_its_reason(amqp: Connection) -> None:
    store()
    OutboxMessage.objects.update(exchange="warren.results.compute", routing_key="x")
    with Publisher() as publisher:
        with open_channel(amqp) as channel:
            channel.queue_unbind("web.results", "warren.results.compute", "#")
        relay_some(publisher)
    assert not OutboxMessage.objects.exists()
    letter = DeadLetter.objects.get()
    assert letter.reason == "returned"
    assert "NO_ROUTE" in letter.detail


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    "wrong",
    [
        {"headers": {"task": "compute.run", "n": 2**80}},
        {"headers": {"task": "compute.run", "n": nested(900)}},
        {"headers": {"task": "compute.run", "n" * 300: 1}},
        {"headers": {"task": "compute.run", "n": ["word"] * 20_000}},  # more than one frame
        {"properties": 3},
        {"properties": {"correlation_id": "x" * 300}},
        {"routing_key": "compute." + "x" * 300},
    ],
    ids=["number", "depth", "name", "size", "properties", "property", "routing key"],
)
def test_a_message_that_cannot_be_encoded_is_parked_and_stops_no_other(
    amqp: Connection, wrong: dict[str, Any]
) -> None:
    bad, good = store(), store()
    OutboxMessage.objects.filter(task_id=bad).update(**wrong)
    with Publisher() as publisher:
        relay_some(publisher)
    assert DeadLetter.objects.get().reason == "unencodable"
    assert taken(amqp, "compute") == [str(good)]


def test_a_message_that_cannot_even_be_parked_stays_with_the_reason_and_stops_no_other(
    amqp: Connection,
) -> None:
    bad, good = store(), store()
    OutboxMessage.objects.filter(task_id=bad).update(headers=["none"])
    with Publisher() as publisher:
        relay_some(publisher)
    assert taken(amqp, "compute") == [str(good)]
    left = OutboxMessage.objects.get()
    assert (left.task_id, left.refusals, left.leased_until) == (bad, 1, None)
    assert left.last_refusal.startswith("unencodable, and no dead letter can be made of it")


def test_messages_come_back_when_the_connection_breaks(amqp: Connection) -> None:
    store()
    with Publisher() as publisher:
        publisher._amqp.sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(BROKER_ERRORS):
            relay_some(publisher)
    assert OutboxMessage.objects.get().leased_until is None
