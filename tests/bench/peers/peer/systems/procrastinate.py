"""Procrastinate: a queue in PostgreSQL. It keeps no answers, so that the task does.

Source: https://procrastinate.readthedocs.io/en/stable/howto/django/configuration.html
"""

from procrastinate import JobContext
from procrastinate.contrib.django import app

from peer.models import Answer


@app.task(pass_context=True, name="add")
def add(context: JobContext, x: float, y: float) -> None:
    """Add."""
    Answer.objects.create(task_id=context.job.id, value=x + y)


def submit(x: float, y: float) -> str:
    """Store the job."""
    return str(add.defer(x=x, y=y))


def answer(task_id: str) -> float | None:
    """Look for what the task has stored."""
    return Answer.objects.filter(pk=task_id).values_list("value", flat=True).first()
