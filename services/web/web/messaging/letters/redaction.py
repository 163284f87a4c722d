"""Showing a message to an operator without the secrets that it may hold."""

import json
from contextlib import suppress
from typing import Any

import msgspec
from django.db.models import Model
from django.urls import NoReverseMatch, reverse

from contracts.tasks import TASKS
from web.messaging.models import DeadLetter
from web.postgresql.storable import storable_json
from web.tracking import registry

HIDDEN = "…"
# Other headers may hold secrets: stock Celery sends a task's arguments in two of them.
SHOWN_HEADERS = {
    "task", "id", "root_id", "parent_id", "group", "lang", "origin", "retries", "timelimit",
    "eta", "expires", "ignore_result", "outbox_id", "refusals", "request_id",
    "x-death", "x-delivery-count", "x-acquired-count",
    "x-first-death-queue", "x-first-death-reason", "x-first-death-exchange",
    "x-last-death-queue", "x-last-death-reason", "x-last-death-exchange",
}  # fmt: skip


class Death(msgspec.Struct, rename="kebab"):
    """One entry of RabbitMQ's record of how a message died; a missing field is empty.

    Source: https://www.rabbitmq.com/docs/dlx#effects
    """

    queue: str = ""
    reason: str = ""
    count: int = 0
    time: str = ""
    exchange: str = ""
    routing_keys: list[str] = []


def shown_arguments(letter: DeadLetter) -> dict[str, Any] | None:
    """Return the task's arguments, with ``…`` for each that its contract hides.

    None if the body is not the message of a contract's task, or has been erased.
    """
    contract = TASKS.get(letter.task)
    try:
        _args, arguments, _embed = msgspec.json.decode(bytes(letter.body))
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError):
        return None
    if contract is None or not isinstance(arguments, dict):
        return None
    shown: dict[str, Any] = storable_json(contract.redact(arguments))
    return shown


def shown_body(letter: DeadLetter) -> str:
    """Describe the body to people."""
    arguments = shown_arguments(letter)
    if arguments is not None:
        return pretty(arguments)
    if letter.kind != letter.task and letter.body:
        return "those of a task of web's own: its row shows what may be seen"
    if not letter.body and letter.state != DeadLetter.State.WAITING:
        return "erased when it was dealt with"
    return f"{len(letter.body)} bytes that are no message of a known task"


def shown_headers(letter: DeadLetter) -> dict[str, Any]:
    """Return the message's headers, with ``…`` for the values of all but SHOWN_HEADERS."""
    return {
        name: value if name in SHOWN_HEADERS else HIDDEN for name, value in letter.headers.items()
    }


def deaths(letter: DeadLetter) -> list[dict[str, Any]]:
    """Return RabbitMQ's record of how the message died, latest first.

    Entries of another form are left out: the header may be forged.
    """
    recorded = letter.headers.get("x-death")
    found = []
    for entry in recorded if isinstance(recorded, list) else []:
        with suppress(msgspec.ValidationError):
            found.append(msgspec.structs.asdict(msgspec.convert(entry, Death)))
    return found


def subject(letter: DeadLetter) -> Model | None:
    """Return the job or mail that the message belonged to, if there still is one."""
    engine = registry.find(letter.kind)
    return engine.row(letter.task_id) if engine and letter.task_id else None


def admin_page(row: Model) -> str:
    """Return the path of a row's page in the admin; empty if its model has none."""
    meta = row._meta
    try:
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
    except NoReverseMatch:
        return ""


def pretty(value: Any) -> str:
    """Return JSON for people."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
