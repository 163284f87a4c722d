"""The transactional outbox: a message is stored with the data it belongs to, or not at all."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from django.db import connection, transaction

from contracts import topology
from contracts.tasks import TASKS, Payload, TaskContract
from web import request_id
from web.messaging.broker.client import CONTROL, app
from web.messaging.models import OutboxMessage
from web.postgresql.insertion import Blank, Insertion
from web.postgresql.wakeup import OUTBOX_CHANNEL, wake_after_commit

P = TypeVar("P", bound=Payload)
PROPERTIES = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "delivery_mode": 2,
}
INSERT_SELECTED = """
    INSERT INTO messaging_outboxmessage (
        task_id, exchange, routing_key, headers, properties, body,
        mandatory, refusals, last_refusal
    )
    SELECT selected.*, true, 0, '' FROM ({}) AS selected
"""


class FirstRun(NamedTuple, Generic[P]):
    """A task to be run for the first time: its id, its arguments, and times in seconds.

    ``expected`` is the time that it is expected to take. If that is short, the relay may send it
    together with others; without it, it goes alone.
    """

    task_id: UUID
    payload: P
    time_limits: tuple[int, int] | None = None
    expected: float | None = None


class OutsideTransactionError(RuntimeError):
    """A message was to be stored outside of the transaction that stores its data."""


def send(
    contract: TaskContract[P],
    payload: P,
    *,
    task_id: UUID,
    retries: int = 0,
    accepted_at: datetime | None = None,
    available_at: datetime | None = None,
    time_limits: tuple[int, int] | None = None,
) -> None:
    """Store a task message in the caller's transaction: see ``task_message``.

    Raises OutsideTransactionError, and MalformedMessageError if the payload breaks the contract.
    """
    message = task_message(
        contract,
        payload,
        task_id=task_id,
        retries=retries,
        accepted_at=accepted_at,
        time_limits=time_limits,
    )
    add(message, available_at)


def task_message(
    contract: TaskContract[P],
    payload: P,
    *,
    task_id: UUID,
    retries: int = 0,
    accepted_at: datetime | None = None,
    time_limits: tuple[int, int] | None = None,
) -> OutboxMessage:
    """Return the message that runs a task, which is not stored yet.

    Args:
        contract: the task to run.
        payload: its arguments.
        task_id: Celery's id of the task, by which its row and its results are found.
        retries: number of earlier runs, so that events of this one outrank theirs.
        accepted_at: when the request for the task was accepted; now if None.
        time_limits: soft and hard limit of the run, in seconds.

    Raises MalformedMessageError if the payload breaks the contract.
    """
    filled_in = _fill_in(contract, payload, task_id, retries, origin(accepted_at), time_limits)
    return OutboxMessage(**_address(contract), **filled_in)


def _address(contract: TaskContract[Any]) -> dict[str, str]:
    return {"exchange": topology.TASKS.name, "routing_key": contract.name}


def _fill_in(
    contract: TaskContract[P],
    payload: P,
    task_id: UUID,
    retries: int,
    request: dict[str, str],
    time_limits: tuple[int, int] | None,
) -> dict[str, Any]:
    arguments = contract.encode(payload)
    shadow = contract.shadow(arguments)
    blank = template(contract, shadow, time_limits)
    name, shown = str(task_id), contract.shown_arguments(arguments)
    run = {"root_id": name, "retries": retries}
    positional, _, options = blank.body
    return {
        "task_id": task_id,
        "headers": {**blank.headers, **run, "id": name, "kwargsrepr": shown, **request},
        "properties": {**blank.properties, "correlation_id": name, **PROPERTIES},
        "body": msgspec.json.encode((positional, arguments, options)),
        "sent_event": {
            **blank.sent_event, **run, "uuid": name, "kwargs": shown,
            "name": shadow or contract.name,
        },
    }  # fmt: skip


@lru_cache(maxsize=1_000)
def template(
    contract: TaskContract[Any], shadow: str | None, time_limits: tuple[int, int] | None
) -> Any:
    """Return a task's message in Celery's form, without id and arguments. It must not be changed.

    To let Celery make each message would add more than half to what it costs to fill one in.
    """
    soft, hard = time_limits or (None, None)
    return app.amqp.create_task_message(
        "",
        contract.name,
        (),
        {},
        shadow=shadow,
        argsrepr="()",
        kwargsrepr="",
        soft_time_limit=soft,
        time_limit=hard,
        create_sent_event=True,
        origin="web",
    )


def origin(accepted_at: datetime | None = None) -> dict[str, str]:
    """Return the headers with the id of a task's request, and the time when it was accepted."""
    accepted_at = accepted_at or datetime.now(UTC)
    return {"request_id": request_id.current(), "accepted_at": accepted_at.isoformat()}


def store(
    *, properties: dict[str, Any], available_at: datetime | None = None, **fields: Any
) -> None:
    """Store a message in the caller's transaction.

    Args:
        properties: AMQP's, besides those that all messages have.
        available_at: when the relay may publish it; at once if None.
        fields: of ``OutboxMessage``.

    Raises OutsideTransactionError.
    """
    add(OutboxMessage(properties=properties | PROPERTIES, **fields), available_at)


def add(message: OutboxMessage, available_at: datetime | None = None) -> None:
    """Store a message in the caller's transaction, due at once or at a time.

    Raises OutsideTransactionError.
    """
    _check_transaction()
    if available_at:
        message.due_at = available_at
    message.save(force_insert=True)
    if not available_at:
        wake_relay()


def send_all(contract: TaskContract[P], runs: Iterable[FirstRun[P]]) -> None:
    """Store messages of many tasks in the caller's transaction by one statement, due at once.

    Args:
        contract: the task to run.
        runs: with what arguments, and under which ids.

    Raises OutsideTransactionError, and MalformedMessageError if a payload breaks the contract.
    """
    _check_transaction()
    request = origin()
    messages = [_of_first_run(contract, run, request) for run in runs]
    fields = {name: [message[name] for message in messages] for name in messages[0]}
    _blank(contract, tuple(fields)).store(fields)
    wake_relay()


def insertion(contract: TaskContract[P], run: FirstRun[P], source: str) -> Insertion:
    """Write the INSERT of a first run's message, for a statement that stores more than that.

    It is stored if ``source`` yields a row. Raises MalformedMessageError if the payload breaks the
    contract.
    """
    message = _of_first_run(contract, run, origin())
    return _blank(contract, tuple(message)).insertion(message, source)


def _of_first_run(
    contract: TaskContract[P], run: FirstRun[P], request: dict[str, str]
) -> dict[str, Any]:
    filled_in = _fill_in(contract, run.payload, run.task_id, 0, request, run.time_limits)
    return filled_in | {"expected": run.expected}


@lru_cache
def _blank(contract: TaskContract[Any], differing: tuple[str, ...]) -> Blank:
    return Blank(OutboxMessage(**_address(contract), headers={}, properties={}), differing)


def _check_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise OutsideTransactionError(
            "a message belongs into the transaction that stores its data: "
            "wrap both in transaction.atomic()."
        )


def wake_relay() -> None:
    """Tell the relay after the current transaction that something is due."""
    wake_after_commit(OUTBOX_CHANNEL)


def store_selected(select: str, parameters: Sequence[Any]) -> None:
    """Store the messages that a statement selects, in the caller's transaction.

    Args:
        select: SQL that yields task_id, exchange, routing_key, headers, properties and body.
        parameters: of the statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(INSERT_SELECTED.format(select), parameters)
    wake_after_commit(OUTBOX_CHANNEL)


def store_refused(messages: Iterable[OutboxMessage]) -> None:
    """Store messages that came back from the broker, to be published at their ``due_at``."""
    OutboxMessage.objects.bulk_create(messages)


def dispatcher(contract: TaskContract[P], payload: Callable[[Any], P]) -> Callable[..., None]:
    """Return a function that stores a row's message; ``payload`` makes the arguments of the row."""

    def dispatch(row: Any, **when: Any) -> None:
        accepted_at = None if row._state.adding else row.created_at
        send(
            contract,
            payload(row),
            task_id=row.pk,
            retries=row.attempt,
            accepted_at=accepted_at,
            **when,
        )

    return dispatch


def broadcast(command: str, arguments: dict[str, Any]) -> None:
    """Store a control command to all workers, for instance ``revoke``.

    It is not mandatory: without workers no queue takes it, which is no error.
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


def is_task(exchange: str, routing_key: str) -> bool:
    """Whether this is the address of a task whose queue Warren declares, and so declares again."""
    ours = routing_key in TASKS or routing_key.startswith(f"{topology.WEB_TASKS}.")
    return exchange == topology.TASKS.name and ours
