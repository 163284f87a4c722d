"""Several answers in one message count as if each had come alone; no dead bundle loses a member."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.db import DatabaseError
from kombu import Connection

from contracts.bundles import Bundle, Enclosed, Member, answers_key, bundle_of
from contracts.events import Progress, TaskEvent, TaskState
from web.jobs.models import Job
from web.jobs.tests.factories import event, make_job
from web.messaging.broker.arrivals import Arrival
from web.messaging.inbox import collector
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.tests.arriving import publish, receive
from web.tracking import registry

pytestmark = pytest.mark.django_db
KEY = answers_key("compute")
RUN = "compute.run"
NO_ANSWERS = (
    b"[]", b"{}", b"[1]", b'[["compute.run.success"]]', b'[["compute.run.success", {}]', b"",
    b"[" * 2000 + b"]" * 2000, msgspec.json.encode([["compute.run.success", 1]] * 51),
)  # fmt: skip


def answers(amqp: Connection, *events: TaskEvent) -> list[Arrival]:
    publish(amqp, msgspec.json.encode([Enclosed.of(each) for each in events]), key=KEY)
    return receive(amqp, len(events))


def states() -> dict[UUID, str]:
    return dict(Job.objects.values_list("id", "state"))


def test_each_counts_as_if_it_had_come_alone(amqp: Connection, job: Job) -> None:
    failed, retried = make_job(job.owner), make_job(job.owner)
    succeeded = msgspec.structs.replace(event(job.id, TaskState.SUCCESS), result=[1e23, "ä", None])
    arrivals = answers(
        amqp,
        succeeded,
        event(failed.id, TaskState.FAILURE),
        event(retried.id, TaskState.RETRY),
    )
    collector.apply(arrivals)
    assert states() == {job.id: "succeeded", failed.id: "failed", retried.id: "queued"}
    assert Job.objects.get(pk=job.pk).result == [1e23, "ä", None]
    assert OutboxMessage.objects.get().task_id == retried.id
    assert [arrival.is_whole for arrival in arrivals] == [False, False, True]


@pytest.mark.parametrize("bad", ["mailer.send_email.success", "compute.run.failure", "x.report"])
def test_one_that_speaks_for_another_is_a_dead_letter_alone(
    amqp: Connection, job: Job, bad: str
) -> None:
    body = msgspec.Raw(msgspec.json.encode(event(job.id, TaskState.SUCCESS)))
    other = make_job(job.owner)
    good = msgspec.Raw(msgspec.json.encode(event(other.id, TaskState.SUCCESS)))
    publish(amqp, msgspec.json.encode([[bad, body], ["compute.run.success", good]]), key=KEY)
    collector.apply(receive(amqp, 2))
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.routing_key, bytes(letter.body)) == (
        "malformed",
        bad,
        bytes(body),
    )
    assert states() == {job.id: "queued", other.id: "succeeded"}


def test_answers_within_answers_are_a_dead_letter(amqp: Connection, job: Job) -> None:
    inner = msgspec.Raw(msgspec.json.encode([Enclosed.of(event(job.id, TaskState.SUCCESS))]))
    publish(amqp, msgspec.json.encode([[KEY, inner]]), key=KEY)
    collector.apply(receive(amqp, 1))
    assert DeadLetter.objects.get().reason == "malformed"
    assert states() == {job.id: "queued"}


@pytest.mark.parametrize("body", NO_ANSWERS)
def test_what_is_no_list_of_answers_is_one_dead_letter(amqp: Connection, body: bytes) -> None:
    publish(amqp, body, key=KEY)
    collector.apply(receive(amqp, 1))
    letter = DeadLetter.objects.get()
    assert (letter.reason, bytes(letter.body)) == ("malformed", body)


def test_one_that_the_database_refuses_holds_up_no_other(amqp: Connection, job: Job) -> None:
    others = [make_job(job.owner) for _ in range(4)]
    too_far = Progress(done=2**70, total=2**70)
    refused = msgspec.structs.replace(event(job.id, TaskState.SUCCESS), progress=too_far)
    good = [event(other.id, TaskState.SUCCESS) for other in others]
    collector.apply(answers(amqp, *good[:2], refused, *good[2:]))
    assert states() == {job.id: "failed"} | {other.id: "succeeded" for other in others}
    assert DeadLetter.objects.get().task_id is None


def test_a_message_is_acknowledged_only_when_its_last_answer_is_stored(
    amqp: Connection, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [make_job(job.owner) for _ in range(3)]
    arrivals = answers(amqp, event(others[0].id, TaskState.SUCCESS))
    arrivals += answers(
        amqp,
        event(others[1].id, TaskState.SUCCESS),
        event(job.id, TaskState.SUCCESS),
        event(others[2].id, TaskState.SUCCESS),
    )
    engine, stored = registry.find(RUN), list[Arrival]()
    assert engine
    apply = engine.apply

    def break_down(events: list[TaskEvent]) -> None:
        if len(events) > 1:
            raise DatabaseError("not so many at a time")
        if events[0].task_id == str(job.id):
            raise OutageError
        apply(events)

    monkeypatch.setattr(engine, "apply", break_down)
    monkeypatch.setattr(collector, "is_outage", lambda error: isinstance(error, OutageError))
    with pytest.raises(OutageError):
        collector.apply(arrivals, stored.append)
    assert stored == arrivals[:1]  # of the second message one answer is stored, and two are not


class OutageError(Exception):
    pass


def dead_bundle(*ids: UUID, task: str = RUN, **headers: Any) -> Arrival:
    contract = bundle_of("compute")
    members = [Member(id=each, arguments={}, request_id="asked") for each in ids]
    body = msgspec.json.encode([[], contract.encode(Bundle(task=task, members=members)), {}])
    death = {"reason": "rejected", "queue": "compute", "exchange": "warren.tasks", "count": 1}
    told = {"task": contract.name, "id": str(uuid4()), "x-death": [death], **headers}
    return Arrival(told, {}, body, contract.name)


def test_members_of_a_dead_bundle_are_sent_alone_and_once(job: Job) -> None:
    done, other = make_job(job.owner), make_job(job.owner)
    collector.apply([arrival_of(event(done.id, TaskState.SUCCESS))])
    dead = dead_bundle(job.id, done.id, other.id, uuid4())
    collector.apply([dead])
    collector.apply([dead])
    assert not DeadLetter.objects.exists()
    assert states() == {job.id: "queued", done.id: "succeeded", other.id: "queued"}
    sent = {message.task_id: message for message in OutboxMessage.objects.all()}
    assert sent.keys() == {job.id, other.id}
    assert sent[job.id].headers["request_id"] == "asked"
    assert sent[job.id].headers["retries"] == 1  # as the second run, it gets into no bundle


def arrival_of(its: TaskEvent) -> Arrival:
    body = msgspec.json.encode(its)
    return Arrival({}, {}, body, its.routing_key, "warren.results.compute")


@pytest.mark.parametrize("task", ["mailer.send_email", "compute.unknown", ""])
def test_a_bundle_of_tasks_of_others_is_a_dead_letter(job: Job, task: str) -> None:
    collector.apply([dead_bundle(job.id, task=task)])
    assert DeadLetter.objects.get().reason == "malformed"
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"[[], {}, {}]", b'[[], {"task": "x"}, {}]'])
def test_a_bundle_that_cannot_be_read_is_a_dead_letter(body: bytes) -> None:
    dead = dead_bundle(uuid4())
    collector.apply([Arrival(dead.headers, {}, body, dead.routing_key)])
    assert DeadLetter.objects.get().reason == "malformed"
