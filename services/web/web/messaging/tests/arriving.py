"""Messages on their way to a collector."""

from typing import Any

import msgspec
from kombu import Connection

from contracts import topology
from contracts.events import TaskEvent, TaskState
from tests.support.polling import poll
from web.jobs.models import Job
from web.jobs.tests.factories import event
from web.messaging.broker.arrivals import Arrival
from web.messaging.inbox.inbox import Inbox


def publish(
    amqp: Connection,
    *bodies: bytes,
    exchange: str = "",
    key: str | None = None,
    headers: dict[str, Any] | None = None,
) -> None:
    """Publish as a worker does, with the routing key of what the body says if there is no other.

    So is the exchange the one of the service that the routing key names.
    """
    producer = amqp.Producer(auto_declare=False)
    for body in bodies:
        its_key = key or routing_key(body)
        producer.publish(
            body,
            exchange=exchange or topology.results_name(its_key.partition(".")[0]),
            routing_key=its_key,
            headers=headers,
            content_type="application/json",
            content_encoding="utf-8",
        )


def routing_key(body: bytes) -> str:
    """Return the routing key of an event; a success's for what is none."""
    try:
        return msgspec.json.decode(body, type=TaskEvent).routing_key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "compute.run.success"


def arrive(
    amqp: Connection,
    *bodies: bytes,
    key: str | None = None,
    headers: dict[str, Any] | None = None,
    exchange: str = "",
) -> list[Arrival]:
    """Publish as a worker does, and receive through a collector's inbox."""
    publish(amqp, *bodies, key=key, headers=headers, exchange=exchange)
    return receive(amqp, len(bodies))


def receive(amqp: Connection, count: int) -> list[Arrival]:
    with amqp.clone() as connection:
        inbox = Inbox(connection)
        received: list[Arrival] = []
        while len(received) < count:
            received += inbox.receive()
        inbox.acknowledge(received[-1])
    return received


def encoded(arrival: TaskEvent) -> bytes:
    return msgspec.json.encode(arrival)


def succeed(amqp: Connection, job: Job) -> None:
    """Report a success, and wait until the job shows it."""
    publish(amqp, encoded(event(job.id, TaskState.SUCCESS)))
    poll(lambda: Job.objects.get(pk=job.pk).state == "succeeded", what="success")
