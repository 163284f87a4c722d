"""The transactional outbox: a message is stored with the data that it speaks of, or not at all."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from contracts import topology
from contracts.tasks import TASKS, Payload, TaskContract
from web import request_id
from web.messaging.models import OutboxMessage
from web.messaging.publisher_app import CONTROL, app
from web.postgresql.wakeup import OUTBOX_CHANNEL, wake_after_commit

P = TypeVar("P", bound=Payload)
PROPERTIES = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "delivery_mode": 2,
}
LONGEST_PAUSE = 15  # seconds; what was wrong may have been mended at any time


class OutsideTransactionError(RuntimeError):
    """A message was to be stored outside of the transaction that stores its data."""


def send(
    contract: TaskContract[P],
    payload: P,
    *,
    task_id: UUID,
    retries: int = 0,
    available_at: datetime | None = None,
    time_limits: tuple[int, int] | None = None,
) -> None:
    """Store a task message in the caller's transaction.

    Args:
        contract: the task to run.
        payload: its arguments.
        task_id: Celery's id of the task; also finds the message's row and its results.
        retries: number of earlier runs, so that later results outrank theirs.
        available_at: when the relay may publish it; at once if None.
        time_limits: soft and hard limit of the run, in seconds.

    Raises OutsideTransactionError, and MalformedMessageError for a payload against its contract.
    """
    arguments = contract.encode(payload)
    soft, hard = time_limits or (None, None)
    shadow = contract.shadow(arguments)
    message = app.amqp.create_task_message(
        str(task_id),
        contract.name,
        (),
        arguments,
        shadow=shadow,
        retries=retries,
        argsrepr="()",
        kwargsrepr=contract.shown_arguments(arguments),
        soft_time_limit=soft,
        time_limit=hard,
        create_sent_event=True,
        origin="web",
    )
    store(
        task_id=task_id,
        exchange=topology.TASKS.name,
        routing_key=contract.name,
        headers=message.headers | {"request_id": request_id.current()},
        properties=message.properties,
        body=msgspec.json.encode(message.body),
        sent_event=message.sent_event | {"name": shadow or contract.name},
        available_at=available_at,
    )


def store(
    *, properties: dict[str, Any], available_at: datetime | None = None, **fields: Any
) -> None:
    """Store a message in the caller's transaction.

    Args:
        properties: of AMQP, besides those that all messages have.
        available_at: when the relay may publish it; at once if None.
        fields: of ``OutboxMessage``.

    Raises OutsideTransactionError.
    """
    if not transaction.get_connection().in_atomic_block:
        raise OutsideTransactionError(
            "outbox.send() belongs into the transaction that stores the data: "
            "wrap both in transaction.atomic()."
        )
    due = {"due_at": available_at} if available_at else {}
    OutboxMessage.objects.create(properties=properties | PROPERTIES, **fields, **due)
    if not available_at:
        wake_after_commit(OUTBOX_CHANNEL)


def dispatcher(contract: TaskContract[P], payload: Callable[[Any], P]) -> Callable[..., None]:
    """Return what stores the message of a row, from which ``payload`` makes the arguments."""

    def dispatch(row: Any, **when: Any) -> None:
        send(contract, payload(row), task_id=row.pk, retries=row.attempt, **when)

    return dispatch


def broadcast(command: str, arguments: dict[str, Any]) -> None:
    """Store a control command to all workers, for instance ``revoke``.

    It is not mandatory: without a worker there is nobody to obey.
    Source: https://docs.celeryq.dev/en/stable/userguide/workers.html#remote-control
    """
    body = {
        "method": command,
        "arguments": arguments,
        "destination": None,
        "pattern": None,
        "matcher": None,
    }
    store(
        task_id=None,
        exchange=CONTROL.name,
        routing_key="",
        headers={"clock": 0, "expires": 0},
        properties={},
        body=msgspec.json.encode(body),
        mandatory=False,
    )


def revoke(task_ids: Sequence[UUID]) -> None:
    """Tell all workers not to begin tasks, and to end them where they run."""
    ids = [str(task_id) for task_id in task_ids]
    broadcast("revoke", {"task_id": ids, "terminate": True, "signal": "SIGTERM"})


def withdraw(task_id: UUID) -> bool:
    """Delete a task's message if no relay has claimed it; True if there was one."""
    unclaimed = OutboxMessage.objects.filter(task_id=task_id, leased_until=None)
    deleted, _ = unclaimed.delete()
    return deleted > 0


def claim(limit: int) -> list[OutboxMessage]:
    """Lease up to ``limit`` due messages; a lease runs out by itself if this relay dies."""
    # The clock is the database's: relays on machines with wrong clocks do no harm.
    return list(
        OutboxMessage.objects.raw(
            """
            UPDATE messaging_outboxmessage SET leased_until = statement_timestamp() + %(lease)s
            WHERE id IN (
                SELECT id FROM messaging_outboxmessage
                WHERE due_at <= statement_timestamp()
                    AND (leased_until IS NULL OR leased_until < statement_timestamp())
                ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            )
            RETURNING *
            """,
            {"lease": timedelta(seconds=settings.OUTBOX_LEASE), "limit": limit},
        )
    )


def prolong(ids: Sequence[int]) -> None:
    """Keep the lease of messages that still wait for the broker: it runs anew from now on."""
    lease = timedelta(seconds=settings.OUTBOX_LEASE)
    OutboxMessage.objects.filter(pk__in=ids).update(leased_until=Now() + lease)


def delete(ids: Sequence[int]) -> None:
    """Forget messages that the broker has confirmed."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM messaging_outboxmessage WHERE id = ANY(%s)", [list(ids)])


def give_back(ids: Sequence[int]) -> None:
    """End the lease of messages whose fate is unknown, so that they are published again."""
    OutboxMessage.objects.filter(pk__in=ids).update(leased_until=None)


def postpone(refused: Sequence[tuple[OutboxMessage, str]]) -> None:
    """Try again later what the broker refused, for the reasons given: a queue is full, perhaps."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE messaging_outboxmessage AS message SET leased_until = NULL,
                due_at = statement_timestamp() + refused.pause,
                refusals = message.refusals + 1, last_refusal = refused.reason
            FROM unnest(%s::bigint[], %s::interval[], %s::text[]) AS refused (id, pause, reason)
            WHERE message.id = refused.id
            """,
            [
                [message.pk for message, _ in refused],
                [pause(message.refusals) for message, _ in refused],
                [reason[:1000] for _, reason in refused],
            ],
        )


def pause(refusals: int) -> timedelta:
    """How long a message waits that has been refused so often before."""
    return timedelta(seconds=min(2 ** min(refusals, 10), LONGEST_PAUSE))


def is_task(exchange: str, routing_key: str) -> bool:
    """Whether it is a task for one of our workers: its queue can be missing only for a while."""
    ours = routing_key in TASKS or routing_key.startswith(f"{topology.WEB_TASKS}.")
    return exchange == topology.TASKS.name and ours
