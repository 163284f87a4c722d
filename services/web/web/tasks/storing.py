"""Storing a task: its row and its message, in one transaction."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.db import connection, transaction
from kombu.utils.json import dumps

from contracts import topology
from contracts.tasks import TASKS
from web.messaging.outbox import outbox
from web.postgresql import clock
from web.tasks.messages import StoredMessage
from web.tasks.models import SERVICE, Task

log = structlog.get_logger("web.tasks")
# A row without a message was made for a task that follows another, such as the next of a chain. Now
# it gets its message. A row with a message was sent before, by a run that is now repeated.
INSERT = """
    INSERT INTO tasks_task (
        id, name, service, owner_id, is_followed, ignore_result,
        group_id, group_index, parent_id, message,
        queued_at, dispatched_at, state, attempt, phase, republished,
        error_type, error_message, worker, traceback, custom_state, updates
    ) VALUES (
        %(id)s, %(name)s, %(service)s, %(owner_id)s, %(is_followed)s, %(ignore_result)s,
        %(group_id)s, %(group_index)s, %(parent_id)s, %(message)s,
        COALESCE(%(due)s, statement_timestamp()), COALESCE(%(due)s, statement_timestamp()),
        'queued', 0, 0, 0,
        '', '', '', '', '', 0
    )
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name, owner_id = excluded.owner_id,
        is_followed = excluded.is_followed, ignore_result = excluded.ignore_result,
        group_id = excluded.group_id, group_index = excluded.group_index,
        parent_id = excluded.parent_id, message = excluded.message,
        queued_at = excluded.queued_at, dispatched_at = excluded.dispatched_at
    WHERE tasks_task.message IS NULL AND tasks_task.state = 'queued'
        AND tasks_task.service = excluded.service
    RETURNING id
"""
# Headers as a contract's worker takes them: without groups and stamps.
ALONE: dict[str, Any] = {"group": None, "group_index": None, "stamped_headers": None, "stamps": {}}


def service_of(name: str) -> str:
    """Name the service whose workers run a task."""
    return TASKS[name].service if name in TASKS else SERVICE


def together() -> AbstractContextManager[object]:
    """Open a transaction, unless the caller has one, whose end then decides."""
    return nullcontext() if connection.in_atomic_block else transaction.atomic()


def store(
    message: StoredMessage,
    *,
    due: datetime | timedelta | None,
    ignore_result: bool,
    is_followed: bool,
    owner_id: UUID | None = None,
) -> None:
    """Store a task and its message, unless that has been done before.

    Args:
        message: of the task, whose id is among its headers.
        due: when the task may begin, or how long from now; at once if None.
        ignore_result: keep no result.
        is_followed: other tasks wait for this one, and get rows too.
        owner_id: of the user for whom it is done, if there is one.
    """
    for name, value in outbox.origin().items():
        message.headers.setdefault(name, value)  # a retry has it already
    headers, task_id = message.headers, UUID(message.headers["id"])
    with together():
        if isinstance(due, timedelta):
            due = clock.now() + due
        with connection.cursor() as cursor:
            cursor.execute(
                INSERT,
                {
                    "id": task_id,
                    "name": headers["task"],
                    "service": service_of(headers["task"]),
                    "owner_id": owner_id,
                    "is_followed": is_followed,
                    "ignore_result": ignore_result,
                    "group_id": headers.get("group"),
                    "group_index": headers.get("group_index"),
                    "parent_id": headers.get("parent_id"),
                    "message": message.encode(),
                    "due": due,
                },
            )
            if cursor.fetchone() is None:
                log.info("task was sent before", task=headers["task"], task_id=str(task_id))
                return
        if is_followed:
            _plan(message)
        send(message, available_at=due)


def send(message: StoredMessage, *, runs: int = 0, available_at: datetime | None = None) -> None:
    """Put the message of a row into the outbox, within the caller's transaction.

    ``runs`` is the number of earlier runs, so that events of the next one outrank theirs. For a
    contract's worker it is sent as ``retries``, and the tasks that follow are left out.
    """
    headers, body = message.headers | {"runs": runs}, message.body
    if headers["task"] in TASKS:
        headers = message.headers | ALONE | {"retries": runs}
        body = dumps([[], message.kwargs, {}])
    outbox.store(
        task_id=UUID(message.headers["id"]),
        exchange=topology.TASKS.name,
        routing_key=message.routing_key,
        headers=headers,
        properties=message.properties,
        body=body.encode(),
        sent_event=message.sent_event,
        available_at=available_at,
    )


class Planned(NamedTuple):
    """A task that can begin only after others; the body of a chord waits for all of its header."""

    id: UUID
    name: str
    in_body: bool


def following(message: StoredMessage) -> Iterator[Planned]:
    """Name the tasks that can begin only after a message's own."""
    options = message.options
    for signature in options.get("chain") or ():
        yield from planned(signature)
    if options.get("chord"):
        yield from planned(options["chord"], in_body=True)


def planned(signature: dict[str, Any], *, in_body: bool = False) -> Iterator[Planned]:
    """Name the tasks of a signature, and the chord's body that waits for it."""
    options, kwargs = signature["options"], signature["kwargs"]
    kind = signature.get("subtask_type")
    members = []
    if kind in ("group", "chain"):
        members = kwargs["tasks"]
    elif kind == "chord":
        header = kwargs["header"]
        members = header["kwargs"]["tasks"] if isinstance(header, dict) else header
        yield from planned(kwargs["body"], in_body=True)
    elif options.get("task_id"):
        yield Planned(UUID(options["task_id"]), signature["task"], in_body)
    for member in members:
        yield from planned(member, in_body=in_body)
    if options.get("chord"):
        yield from planned(options["chord"], in_body=True)


def _plan(message: StoredMessage) -> None:
    """Make rows for the tasks that follow: they have to show a failure before them."""
    rows = [
        Task(id=each.id, name=each.name, service=service_of(each.name))
        for each in following(message)
    ]
    Task.objects.bulk_create(rows, ignore_conflicts=True)
