"""Dramatiq over RabbitMQ. It keeps no answers in a database, so that the actor does.

Source: https://dramatiq.io/guide.html
"""

import os

import django
import dramatiq
from django.apps import apps
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import CurrentMessage

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "peer.settings")
if not apps.ready:  # in a worker
    django.setup()

from peer.models import Answer

broker = RabbitmqBroker(url=os.environ["BROKER_URL"])
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


@dramatiq.actor
def add(x: float, y: float) -> None:
    """Add."""
    message = CurrentMessage.get_current_message()
    Answer.objects.create(task_id=message.message_id, value=x + y)


def submit(x: float, y: float) -> str:
    """Send the message to the broker."""
    return str(add.send(x, y).message_id)


def answer(task_id: str) -> float | None:
    """Look for what the actor has stored."""
    return Answer.objects.filter(pk=task_id).values_list("value", flat=True).first()
