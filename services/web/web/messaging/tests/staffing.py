"""For tests of the reconciler: consumers, workers' reports, and jobs that are nowhere."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from amqp import Message
from kombu import Connection, Consumer

from contracts import topology
from contracts.events import WorkerReport
from runtime.liveness import LivenessFile
from tests.support.polling import poll
from web.jobs.models import Job
from web.jobs.tests.factories import make_job, make_user
from web.messaging.inbox import workers
from web.messaging.lost.reconciliation import Reconciler
from web.messaging.models import OutboxMessage
from web.messaging.processes.lifecycle import StopSignal


def consume(consuming: ExitStack, amqp: Connection, queue: str) -> None:
    known = next(each for each in topology.QUEUES if each.name == queue)
    connection = consuming.enter_context(amqp.clone())  # which nobody reads from
    consumer = Consumer(connection, [known], auto_declare=False, prefetch_count=1, on_message=print)
    before = _consumers(amqp, queue)
    consumer.consume()
    poll(lambda: _consumers(amqp, queue) > before, what="consumer that the queue knows of")


def _consumers(amqp: Connection, queue: str) -> int:
    with opened(amqp) as channel:
        return int(channel.queue_declare(queue, passive=True).consumer_count)


@contextmanager
def opened(amqp: Connection) -> Iterator[Any]:
    """Open a channel, for what only amqp itself can do."""
    with amqp.channel() as channel:
        yield channel


def put(amqp: Connection, exchange: str, key: str, count: int = 2) -> None:
    """Publish messages, of which a consumer takes one, and wait until they are there."""
    with opened(amqp) as channel:
        for _ in range(count):
            channel.basic_publish_confirm(Message(b"{}"), exchange, key, mandatory=True)


def report(service: str, *holding: UUID, node: str = "") -> None:
    workers.record(
        [
            WorkerReport(
                service=service,
                worker=node or f"{service}-1@host",
                at=datetime.now(UTC),
                holding=[str(task_id) for task_id in holding],
                checks={},
            )
        ]
    )


def reconciler() -> Reconciler:
    return Reconciler(StopSignal(), LivenessFile(""))


def lost_job(**fields: Any) -> Job:
    """A job whose message was published and is nowhere."""
    return make_job(make_user(f"{Job.objects.count()}@example.org"), **fields)


def published_again() -> dict[UUID | None, int]:
    """The outbox: task ids, and the number of runs before."""
    return {each.task_id: each.headers["retries"] for each in OutboxMessage.objects.all()}
