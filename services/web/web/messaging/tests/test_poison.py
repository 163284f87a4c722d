"""The collector after whatever can be in its queues."""

import json
import random
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from kombu import Connection

from contracts.events import TaskState
from tests.support.polling import poll
from web.jobs.models import Job
from web.jobs.tests.factories import event, make_job
from web.messaging.inbox.collector import collect
from web.messaging.letters import making
from web.messaging.models import DeadLetter
from web.messaging.tests.arriving import publish, succeed
from web.messaging.tests.running import running

pytestmark = pytest.mark.django_db(transaction=True)
BODIES = 500
SEED = 20_261


def anything(chance: random.Random) -> bytes:
    """A body as it may be, from noise to what is nearly a result."""
    kind = chance.randrange(5)
    if kind == 0:
        return chance.randbytes(chance.randrange(200))
    if kind == 1:
        return json.dumps(value(chance, 4)).encode()
    result = json.loads(msgspec.json.encode(event(uuid4(), chance.choice(list(TaskState)))))
    del result[chance.choice(list(result))]
    if kind == 2:
        return json.dumps(result | {"task_id": value(chance, 2)}).encode()
    text = bytearray(json.dumps(result | {"attempt": None}).encode())
    if kind == 3:
        text[chance.randrange(len(text))] = chance.randrange(256)
        return bytes(text)
    return bytes(text[: chance.randrange(len(text))])


def value(chance: random.Random, levels: int) -> Any:
    """Some value of JSON."""
    if levels and chance.random() < 0.5:
        values = [value(chance, levels - 1) for _ in range(chance.randrange(4))]
        return values if chance.random() < 0.5 else {str(v): v for v in values}
    return chance.choice([None, True, -1, 2**70, 1e300, "", "a\0b", "\ud800", "é" * 50])


def test_random_bodies_become_dead_letters_one_each(amqp: Connection, job: Job) -> None:
    chance = random.Random(SEED)  # noqa: S311
    results = [anything(chance) for _ in range(BODIES)]
    dead = [anything(chance) for _ in range(BODIES)]
    publish(amqp, *results)
    publish(amqp, *dead, exchange="warren.dead")
    with running(collect) as work:
        succeed(amqp, job)
        poll(
            lambda: DeadLetter.objects.count() == 2 * BODIES,
            what="dead letters",
            explain=lambda: work.log,
        )
        assert not work.said("interrupted")
    assert DeadLetter.objects.filter(queue="web.results").count() == BODIES
    kept = {bytes(body) for body in DeadLetter.objects.values_list("body", flat=True)}
    assert kept == {*results, *dead}


def test_a_result_that_is_nested_too_deeply_fails_its_job_alone(amqp: Connection, job: Job) -> None:
    # From about 1000 on it cannot even be decoded.
    depths = range(101, 1200, 20)
    owner = job.owner
    jobs = {depth: make_job(owner) for depth in depths}
    for depth, nested in jobs.items():
        empty = msgspec.json.encode(event(nested.id, TaskState.SUCCESS))
        publish(amqp, empty.replace(b'"result":10', b'"result":' + b"[" * depth + b"]" * depth))
    with running(collect) as work:
        succeed(amqp, job)
        assert not work.said("interrupted")
        assert work.said("message refused", "RecursionError")
    assert Job.objects.filter(state="failed", error_type="ResultNotStorable").exists()
    ended = Job.objects.filter(state__in=("succeeded", "failed")).count() - 1
    undecodable = DeadLetter.objects.exclude(detail="RecursionError").count()
    assert ended + undecodable == len(depths)


def test_what_nobody_foresaw_of_a_message_is_a_dead_letter_and_ends_nothing(
    amqp: Connection, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    unforeseen: dict[str, DeadLetter] = {}
    monkeypatch.setattr(making, "of_arrival", lambda _arrival: unforeseen["planted-secret"])
    publish(amqp, b"{}", exchange="warren.dead")
    with running(collect) as work:
        succeed(amqp, job)
        poll(DeadLetter.objects.exists, what="dead letter", explain=lambda: work.log)
        assert not work.said("interrupted")
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.detail, bytes(letter.body)) == ("malformed", "KeyError", b"{}")


def test_the_largest_bodies_are_taken_a_few_at_a_time(amqp: Connection, job: Job) -> None:
    deep = b"[" * 2_500_000 + b"]" * 2_500_000
    wide = b"[" + b"1," * 2_500_000 + b"1]"
    started = msgspec.json.encode(event(job.id, TaskState.STARTED))
    inside = started[:-1] + b',"result":' + deep + b"}"
    publish(amqp, deep, wide, inside, deep, wide, inside)
    with running(collect) as work:
        succeed(amqp, job)
        assert work.alive
    assert DeadLetter.objects.filter(reason="malformed").count() == 6
