"""The relay while the broker takes nothing, is silent, or has lost what it publishes to."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import LazySettings
from django.db import transaction
from kombu import Connection, Exchange, Queue

from contracts import topology
from contracts.tasks import RUN_COMPUTATION, RunComputation
from local.servers.broker import Broker
from tests.support.polling import poll
from web.messaging.broker.client import app
from web.messaging.inbox.collector import collect
from web.messaging.letters import dead_letters
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.outbox import leases, outbox
from web.messaging.outbox.publisher import Outcome, Publisher
from web.messaging.outbox.relay import relay
from web.messaging.tests.running import running

RELAY = partial(relay, park=dead_letters.park)

pytestmark = pytest.mark.django_db(transaction=True)
LONG = 1_000_000.0  # seconds: for what must not be what ends a test


def store(text: str = "") -> UUID:
    task_id = uuid4()
    payload = RunComputation(job_id=str(task_id), computation="add", arguments={"x": text})
    with transaction.atomic():
        outbox.send(RUN_COMPUTATION, payload, task_id=task_id)
    return task_id


def taken(amqp: Connection, queue: str = "compute") -> list[str]:
    """Correlation ids of all that waits in a queue."""
    ids = []
    with amqp.channel() as opened:
        channel: Any = opened
        while message := channel.basic_get(queue, no_ack=True):
            ids.append(message.properties["correlation_id"])
    return ids


def lease_ends() -> list[datetime]:
    ends = OutboxMessage.objects.values_list("leased_until", flat=True)
    return [end for end in ends if end]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> None:
    """Short times for everything that ends a wait for the broker."""
    # Not less: py-amqp waits for events longer than it is told to while heartbeats come.
    monkeypatch.setattr("web.messaging.broker.connection.HEARTBEAT", 3)
    monkeypatch.setattr("web.messaging.outbox.publisher.CONFIRM_TIMEOUT", 2.0)
    settings.OUTBOX_LEASE = 2


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing but the relay's end put an end to a wait for the broker."""
    monkeypatch.setattr("web.messaging.broker.connection.HEARTBEAT", 30)
    monkeypatch.setattr("web.messaging.outbox.publisher.CONFIRM_TIMEOUT", LONG)


@pytest.fixture
def alarm(broker: Broker) -> Iterator[Broker]:
    """A broker to raise the alarm of, which is cleared in the end."""
    yield broker
    broker.clear_memory_alarm()
    broker.clear_disk_alarm()


@pytest.fixture
def frozen(broker: Broker) -> Iterator[Broker]:
    """A broker to freeze, which is thawed in the end."""
    yield broker
    broker.resume()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_broker_with_an_alarm_is_waited_for_on_one_connection_and_gets_each_message_once(
    amqp: Connection, alarm: Broker, kind: str
) -> None:
    with running(RELAY) as work:
        getattr(alarm, f"raise_{kind}_alarm")()
        with transaction.atomic():
            ids = [store() for _ in range(3)]
        work.hear("broker blocked", "memory or disk")
        first = lease_ends()
        # Far longer than a lease, a silence and a heartbeat are allowed to take.
        poll(
            lambda: min(lease_ends()).timestamp() > max(first).timestamp() + 6, what="longer lease"
        )
        assert leases.claim(10) == []
        later = store()
        getattr(alarm, f"clear_{kind}_alarm")()
        poll(lambda: not OutboxMessage.objects.exists(), what="empty outbox")
        assert not work.said("interrupted")
    assert taken(amqp) == [str(task_id) for task_id in (*ids, later)]


@pytest.mark.usefixtures("impatient")
def test_a_large_message_does_not_hold_up_the_relay_of_a_blocked_broker(
    amqp: Connection, alarm: Broker
) -> None:
    with running(RELAY) as work:
        alarm.raise_memory_alarm()
        ids = {str(store("x" * 4_000_000)) for _ in range(3)}
        work.hear("broker blocked")
        work.stop.set()
    alarm.clear_memory_alarm()
    assert not lease_ends()
    with running(RELAY):
        poll(lambda: not OutboxMessage.objects.exists(), what="empty outbox")
    assert set(taken(amqp)) == ids


@pytest.mark.usefixtures("patient")
def test_a_relay_that_is_stopped_while_the_broker_is_blocked_gives_its_messages_back(
    amqp: Connection, alarm: Broker
) -> None:
    with running(RELAY) as work:
        alarm.raise_memory_alarm()
        store()
        work.hear("broker blocked")
        poll(lease_ends, what="claimed message")
        work.end()
        assert not lease_ends()
        assert OutboxMessage.objects.count() == 1


@pytest.mark.usefixtures("patient")
def test_a_relay_that_is_stopped_while_the_broker_is_frozen_gives_its_messages_back(
    amqp: Connection, frozen: Broker
) -> None:
    with running(RELAY) as work:
        frozen.pause()
        store()
        poll(lease_ends, what="claimed message")
        work.end()
        assert not lease_ends()
        assert OutboxMessage.objects.count() == 1


def test_patience_is_asked_for_each_message_of_a_batch_also_when_nothing_has_to_wait(
    amqp: Connection,
) -> None:
    with transaction.atomic():
        ids = [store() for _ in range(3)]
    outcome = Outcome({message.pk: message for message in leases.claim(10)})
    with Publisher() as publisher:
        publisher.publish(outcome, lambda: False)
        assert len(outcome.open) == len(ids)
        publisher.publish(outcome, lambda: True)
        assert len(outcome.confirmed) == len(ids)
    assert sorted(taken(amqp)) == sorted(str(task_id) for task_id in ids)


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_was_frozen_is_found_again(amqp: Connection, frozen: Broker) -> None:
    with running(RELAY) as work:
        frozen.pause()
        task_id = store()
        work.hear("interrupted", times=3)  # the connection, and attempts to make another
        frozen.resume()
        poll(lambda: not OutboxMessage.objects.exists(), what="empty outbox")
    assert set(taken(amqp)) == {str(task_id)}


def test_a_topology_that_is_missing_is_waited_for(amqp: Connection) -> None:
    with amqp.channel() as opened:
        channel: Any = opened
        channel.exchange_delete("warren.tasks")
        channel.exchange_delete(topology.marker().name)
    with running(RELAY, until="interrupted") as work:
        work.hear("error", "exchange 'warren.tasks' is missing", "manage.py declare_topology")
        topology.declare(amqp)
        task_id = store()
        work.hear("relay connected")
        poll(lambda: taken(amqp) == [str(task_id)], what="message")


def test_a_message_that_makes_the_broker_close_the_channel_holds_up_no_other(
    amqp: Connection,
) -> None:
    lost, wrong = store(), store()
    OutboxMessage.objects.filter(task_id=lost).update(exchange="warren.lost")
    OutboxMessage.objects.filter(task_id=wrong).update(properties={"user_id": "nobody"})
    others = {str(store()) for _ in range(3)}
    arrived: set[str] = set()

    def all_others() -> bool:
        arrived.update(taken(amqp))  # one by one, when the channel has been closed
        return arrived == others

    with running(RELAY) as work:
        poll(all_others, what="other messages")
        (held,) = poll(lambda: OutboxMessage.objects.filter(refusals__gt=1), what="refused message")
        assert held.task_id == lost
        assert "no exchange 'warren.lost'" in held.last_refusal
        assert DeadLetter.objects.get(task_id=wrong).reason == "unencodable"

        exchange = Exchange("warren.lost", type="fanout", durable=True)
        with amqp.channel() as channel:
            Queue("found", exchange, queue_arguments={"x-queue-type": "quorum"})(channel).declare()
        poll(lambda: taken(amqp, "found") == [str(lost)], what="message that was held up")
        assert not work.said("interrupted")


def test_a_task_whose_queue_is_missing_waits_for_it(amqp: Connection) -> None:
    with running(RELAY), running(collect):
        with amqp.channel() as opened:
            channel: Any = opened
            channel.queue_delete("compute")
        task_id = store()
        poll(lambda: OutboxMessage.objects.filter(refusals__gt=1), what="task that came back twice")
        waiting = OutboxMessage.objects.get()
        assert (waiting.task_id, waiting.headers["retries"]) == (task_id, 0)
        assert waiting.last_refusal == "no queue is bound to 'compute.run'"
        topology.declare(amqp)
        poll(lambda: taken(amqp) == [str(task_id)], what="task")
    assert not OutboxMessage.objects.exists()
    assert not DeadLetter.objects.exists()


def test_a_relay_that_may_not_tell_flower_publishes_each_message_once(
    amqp: Connection, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, vhost = f"relay-{uuid4().hex[:8]}", amqp.virtual_host
    broker._manage("PUT", f"users/{user}", {"password": user, "tags": ""})
    rights = {
        "configure": r"^celery\.pidbox$",
        "write": r"^(warren\.tasks|amq\.default|celery\.pidbox)$",
        "read": r"^warren\.topology\..*$",
    }
    broker._manage("PUT", f"permissions/{vhost}/{user}", rights)
    restricted = replace(broker.settings, user=user, password=user).url(vhost)
    monkeypatch.setattr(app.conf, "broker_write_url", restricted)
    ids = [store()]
    with running(RELAY):
        poll(lambda: not OutboxMessage.objects.exists(), what="empty outbox")
        ids += [store(), store()]
        poll(lambda: not OutboxMessage.objects.exists(), what="empty outbox")
    assert taken(amqp) == [str(task_id) for task_id in ids]
