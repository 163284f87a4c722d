"""Small tasks are published together; whatever happens to their message, each is sent once."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.conf import LazySettings
from django.db import transaction
from kombu import Connection, Queue

from contracts import topology
from contracts.bundles import Bundle, bundle_of
from contracts.tasks import RUN_COMPUTATION, RunComputation
from runtime.liveness import LivenessFile
from web.jobs.models import Job
from web.messaging.inbox import collector
from web.messaging.letters import dead_letters
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.outbox import bundles, leases, outbox
from web.messaging.outbox.publisher import Publisher
from web.messaging.outbox.relay import relay_batch
from web.messaging.processes.lifecycle import StopSignal
from web.messaging.tests.arriving import receive
from web.messaging.tests.test_relay import open_channel, relay_some

pytestmark = pytest.mark.django_db
LIMITS = (300, 310)


def store(
    *expected: float | None, limits: tuple[int, int] = LIMITS, text: str = "", kind: str = "add"
) -> list[UUID]:
    """Store a first run of a task for each expected duration."""
    ids = [uuid4() for _ in expected]
    arguments = {"x": 1e23, "text": text}
    runs = [
        outbox.FirstRun(
            task_id,
            RunComputation(job_id=str(task_id), computation=kind, arguments=arguments),
            limits,
            seconds,
        )
        for task_id, seconds in zip(ids, expected, strict=True)
    ]
    with transaction.atomic():
        outbox.send_all(RUN_COMPUTATION, runs)
    return ids


def taken(amqp: Connection) -> list[Any]:
    """Take all that waits in the queue: the id of a task, or those of a bundle's."""
    channel, found = open_channel(amqp), []
    while message := channel.basic_get("compute", no_ack=True):
        if message.headers["task"] == "compute.bundle":
            found.append([str(member.id) for member in decoded(message.body).members])
        else:
            found.append(message.properties["correlation_id"])
    return found


def decoded(body: str) -> Bundle:
    return bundle_of("compute").decode(msgspec.json.decode(body)[1])


def texts(ids: Iterable[UUID]) -> list[str]:
    return [str(each) for each in ids]


def sizes(*expected: float | None, **options: Any) -> list[int]:
    """Count the members of each message that is made of such tasks."""
    store(*expected, **options)
    return [len(message.rows) for message in bundles.gather(leases.claim(500))]


def test_small_tasks_go_in_one_message_and_others_alone(amqp: Connection) -> None:
    ids = texts(store(0.001, None, 0.001, 5, 0.001))
    with Publisher() as publisher:
        assert relay_some(publisher) == 5
        assert relay_some(publisher) == 0
    assert taken(amqp) == [[ids[0], ids[2], ids[4]], ids[1], ids[3]]
    assert not OutboxMessage.objects.exists()


def test_a_member_is_what_its_own_message_would_be(amqp: Connection) -> None:
    store(0, 0)
    first = OutboxMessage.objects.order_by("pk")[0]
    with Publisher() as publisher:
        relay_some(publisher)
    message = open_channel(amqp).basic_get("compute")
    member = decoded(message.body).members[0]
    _, arguments, options = msgspec.json.decode(bytes(first.body))
    assert member.arguments == arguments
    assert '"x":1e23' in message.body
    assert member.request_id == first.headers["request_id"]
    assert member.accepted_at
    assert member.accepted_at.isoformat() == first.headers["accepted_at"]
    assert msgspec.json.decode(message.body)[2] == options
    assert message.headers["timelimit"] == first.headers["timelimit"] == [310, 300]
    assert message.headers["shadow"] == "compute.add ×2"
    assert str(first.task_id) in message.headers["kwargsrepr"]
    assert message.properties["delivery_mode"] == 2


def test_a_bundle_has_so_many_members_and_is_expected_to_take_so_long(
    settings: LazySettings,
) -> None:
    assert sizes(*[0.0] * 120) == [50, 50, 20]
    OutboxMessage.objects.all().delete()
    assert sizes(*[0.03] * 7) == [3, 3, 1]
    OutboxMessage.objects.all().delete()
    assert sizes(*[0.0] * 5, text="x" * 40_000) == [2, 2, 1]
    OutboxMessage.objects.all().delete()
    settings.BUNDLE_MOST = 1
    assert sizes(0.0, 0.0) == [1, 1]


def test_only_tasks_with_the_same_limits_go_together() -> None:
    store(0.0, 0.0, limits=(1, 2))
    assert sizes(0.0, 0.0) == [2, 2]


def test_a_bundle_of_several_computations_is_named_after_none(amqp: Connection) -> None:
    store(0.0)
    store(0.0, kind="count_primes")
    (bundle,) = bundles.gather(leases.claim(10))
    assert bundle.headers["shadow"] == "compute.run ×2"
    assert bundle.sent_event
    assert bundle.sent_event["name"] == "compute.run ×2"


def test_members_of_a_refused_bundle_go_alone(amqp: Connection) -> None:
    with open_channel(amqp) as channel:
        channel.queue_delete("compute")
        arguments = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        Queue("compute", topology.TASKS, "compute.#", queue_arguments=arguments)(channel).declare()
    ids = texts(store(0.0, 0.0, 0.0))
    fill(amqp)
    with Publisher() as publisher:
        relay_some(publisher)
        refused = OutboxMessage.objects.all()
        assert {(row.refusals, row.leased_until) for row in refused} == {(1, None)}
        open_channel(amqp).queue_delete("compute")
        topology.task_queue("compute")(amqp.default_channel).declare()
        refused.update(due_at=refused[0].created_at)
        relay_some(publisher)
    assert sorted(taken(amqp)) == sorted(ids)


def fill(amqp: Connection) -> None:
    """Fill a queue of one message: RabbitMQ takes one or two more than that."""
    producer = amqp.Producer(auto_declare=False)
    for _ in range(5):
        producer.publish(b"", exchange=topology.TASKS.name, routing_key="compute.run")


def test_members_of_a_bundle_that_no_queue_takes_are_sent_alone(amqp: Connection, job: Job) -> None:
    with open_channel(amqp) as channel:
        channel.queue_delete("compute")
    other = Job.objects.create(
        owner=job.owner, computation="add", arguments={}, soft_time_limit=1, time_limit=2
    )
    OutboxMessage.objects.all().delete()
    with transaction.atomic():
        for each in (job, other):
            payload = RunComputation(job_id=str(each.id), computation="add", arguments={})
            run = outbox.FirstRun(each.id, payload, LIMITS, 0.0)
            outbox.send_all(RUN_COMPUTATION, [run])
    with Publisher() as publisher:
        relay_some(publisher)
    collector.apply(receive(amqp, 1))
    assert not DeadLetter.objects.exists()
    again = OutboxMessage.objects.all()
    assert {(row.task_id, row.expected) for row in again} == {(job.id, None), (other.id, None)}


def test_members_of_a_bundle_that_cannot_be_published_go_alone(
    amqp: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(0.0, 0.0)
    OutboxMessage.objects.update(headers={"request_id": "x" * 200_000, "task": "compute.run"})
    monkeypatch.setattr(bundles, "SHOWN", 0)
    made = bundles.gather

    def too_large(messages: Any) -> Any:
        gathered = made(messages)
        gathered[0].headers["kwargsrepr"] = "x" * 200_000
        return gathered

    monkeypatch.setattr(bundles, "gather", too_large)
    with Publisher() as publisher:
        relay_some(publisher)
    rows = OutboxMessage.objects.all()
    assert {(row.refusals, row.leased_until) for row in rows} == {(1, None)}
    assert "ValueError" in rows[0].last_refusal
    assert not DeadLetter.objects.exists()


def test_leases_of_members_are_renewed_and_given_back(amqp: Connection) -> None:
    store(0.0, 0.0)
    stop = StopSignal()
    stop.set()
    with Publisher() as publisher:
        publisher._await = lambda *_: False  # type: ignore[method-assign]
        relay_batch(publisher, stop, LivenessFile(""), dead_letters.park)
    assert [row.leased_until for row in OutboxMessage.objects.all()] == [None, None]


@pytest.mark.parametrize("broken", [{"body": b"no JSON"}, {"headers": {"timelimit": "x"}}])
def test_a_row_of_which_no_bundle_can_be_made_stops_no_other(broken: dict[str, Any]) -> None:
    store(0.0, 0.0)
    OutboxMessage.objects.update(**broken)
    assert [len(message.rows) for message in bundles.gather(leases.claim(10))] == [1, 1]
