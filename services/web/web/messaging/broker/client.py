"""The Celery application that gives web's messages their form; it runs no task."""

from celery import Celery
from django.conf import settings
from kombu import Exchange

from contracts import topology
from runtime import wire
from runtime.broker import CELERY

wire.read_anything()
app = Celery("web", set_as_current=False, fixups=[])
app.conf.update(
    CELERY
    | {
        "broker_url": settings.BROKER_URL,
        # Without confirm_publish, for which kombu would wait after each message. The relay reads
        # confirms itself, many at a time.
        "broker_transport_options": {"read_timeout": 15, "write_timeout": 15},
        "task_queues": [topology.task_queue(service) for service in topology.SERVICES],
        "task_default_queue": topology.queue_name(topology.SERVICES[0]),
        "task_send_sent_event": True,
    }
)
# The exchange of control commands such as ``revoke``. Celery's stubs do not know the mailbox.
CONTROL: Exchange = app.control.mailbox.exchange  # type: ignore[attr-defined]
