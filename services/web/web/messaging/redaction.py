"""Showing a message to an operator without the secrets that it may hold."""

import json
from typing import Any

import msgspec

from contracts.tasks import TASKS
from web.messaging.models import DeadLetter


def shown_arguments(letter: DeadLetter) -> str:
    """Describe the task's arguments: the fields that its contract shows, the others hidden."""
    if not letter.body:
        return "erased when it was dealt with"
    contract = TASKS.get(letter.task)
    try:
        _args, arguments, _embed = msgspec.json.decode(bytes(letter.body))
    except (msgspec.DecodeError, ValueError, TypeError):
        return f"{len(letter.body)} bytes that are no task message"
    if contract is None or not isinstance(arguments, dict):
        return f"{len(letter.body)} bytes for an unknown task"
    return contract.shown_arguments(arguments)


def shown_message(letter: DeadLetter) -> str:
    """Describe a dead letter with all that may be shown of it, one field a line."""
    fields: dict[str, Any] = {
        "state": letter.state,
        "reason": letter.reason,
        "detail": letter.detail,
        "task": letter.task,
        "task id": letter.task_id,
        "arguments": shown_arguments(letter),
        "queue": letter.queue,
        "exchange": letter.exchange,
        "routing key": letter.routing_key,
        "arrived": letter.created_at,
        "handled": letter.handled_at,
        "handled by": letter.handled_by,
        "headers": json.dumps(letter.headers, indent=2, sort_keys=True),
    }
    return "\n".join(f"{name + ':':<13} {value}" for name, value in fields.items())
