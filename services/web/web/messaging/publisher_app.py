"""The Celery application that gives web's messages their form; it runs no task."""

from celery import Celery
from django.conf import settings
from kombu import Exchange

from contracts import topology, wire
from contracts.worker import BROKER

wire.read_anything()
app = Celery("web", set_as_current=False, fixups=[])
app.conf.update(
    BROKER
    | {
        "broker_url": settings.BROKER_URL,
        # The relay reads confirms itself, many at a time; kombu would wait for each.
        "broker_transport_options": {"read_timeout": 15, "write_timeout": 15},
        "task_queues": [topology.task_queue(service) for service in topology.SERVICES],
        "task_default_queue": topology.queue_name(topology.SERVICES[0]),
        "task_send_sent_event": True,
    }
)
# Where control commands go, such as the revoking of a task. Celery's stubs do not know of it.
CONTROL: Exchange = app.control.mailbox.exchange  # type: ignore[attr-defined]
