"""For tests: running the outbox's tasks in the test's own process and transaction.

``from web.tasks.testing import drain``; see docs/adding-a-task.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from celery.app.trace import build_tracer
from django.db import transaction
from django.db.models.functions import Now
from kombu.utils.json import loads

from contracts import topology
from web.messaging.models import OutboxMessage
from web.tasks.application import app
from web.tasks.events import WebTaskEvent
from web.tasks.results import WEB

MOST = 1_000  # runs: a task that sends itself again would never end


def drain(*, until_due: bool = False) -> list[str]:
    """Run web's tasks that are in the outbox, and what they send, until nothing is left.

    Each runs as in a worker, with Celery's own tracer. The collector's code brings its states into
    its row. No broker is needed.

    Args:
        until_due: leave messages that are due later, such as retries, instead of running them.

    Returns the names of the tasks in the order of their runs. Raises RuntimeError after MOST runs.
    """
    ran: list[str] = []
    with _answers_applied_at_once():
        while message := _next(until_due):
            if len(ran) == MOST:
                raise RuntimeError(f"{MOST} runs, the last ones of {set(ran[-10:])}")
            ran.append(message.headers["task"])
            _run(message)
    return ran


def _next(until_due: bool) -> OutboxMessage | None:
    messages = OutboxMessage.objects.filter(
        exchange=topology.TASKS.name, routing_key__startswith=f"{topology.WEB_TASKS}."
    )
    if until_due:
        messages = messages.filter(due_at__lte=Now())
    return messages.order_by("due_at", "id").first()


def _run(message: OutboxMessage) -> None:
    message.delete()
    args, kwargs, options = loads(bytes(message.body).decode())
    task = app.tasks[message.headers["task"]]
    request = (
        message.headers
        | options
        | {
            "args": args,
            "kwargs": kwargs,
            "hostname": "tasks-0@test",
            "delivery_info": {"priority": message.properties.get("priority")},
        }
    )
    build_tracer(task.name, task, app=app)(str(message.task_id), args, kwargs, request)


@contextmanager
def _answers_applied_at_once() -> Iterator[None]:
    def publish(body: bytes, *_: Any, **__: Any) -> None:
        with transaction.atomic():
            WEB.apply([msgspec.json.decode(body, type=WebTaskEvent)])

    backend: Any = app.backend
    backend.publish = backend.publish_progress = publish
    try:
        yield
    finally:
        del backend.publish, backend.publish_progress
