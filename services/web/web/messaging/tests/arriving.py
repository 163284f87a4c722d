"""Results on their way to a collector at work."""

import msgspec
from kombu import Connection

from contracts.results import TaskState
from web.jobs.models import Job
from web.jobs.tests.factories import event
from web.messaging.tests.running import poll


def publish(amqp: Connection, *bodies: bytes, exchange: str = "warren.results") -> None:
    """Publish as a worker does."""
    producer = amqp.Producer(auto_declare=False)
    for body in bodies:
        producer.publish(
            body,
            exchange=exchange,
            routing_key="compute.run.success",
            content_type="application/json",
            content_encoding="utf-8",
        )


def succeed(amqp: Connection, job: Job) -> None:
    """Report a success, and wait until the job shows it."""
    publish(amqp, msgspec.json.encode(event(job.id, TaskState.SUCCESS)))
    poll(lambda: Job.objects.get(pk=job.pk).state == "succeeded", "success")
