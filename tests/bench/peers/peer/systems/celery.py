"""Celery with django-celery-results: ``celery`` as its tutorial has it, ``celery_safe`` made safe.

Source: https://docs.celeryq.dev/en/stable/django/first-steps-with-django.html
"""

import os

from celery import Celery, shared_task
from celery.result import AsyncResult

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "peer.settings")
app = Celery("peer", broker=os.environ["BROKER_URL"], backend="django-db")
if os.environ["PEER"] == "celery_safe":
    app.conf.update(
        broker_transport_options={"confirm_publish": True},
        task_default_queue_type="quorum",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=4,
    )


@shared_task
def add(x: float, y: float) -> float:
    """Add."""
    return x + y


@shared_task
def mail(number: int) -> None:
    """Send a mail, on a connection of its own."""
    from django.core.mail import send_mail

    send_mail(f"Number {number}", "The same text.", "warren@example.org", ["ada@example.org"])


def submit(x: float, y: float) -> str:
    """Send the task to the broker."""
    return str(add.delay(x, y).id)


def answer(task_id: str) -> float | None:
    """Ask the result backend."""
    result = AsyncResult(task_id)
    return result.result if result.successful() else None
