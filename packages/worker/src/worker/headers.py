"""Checks of a message, before a worker gives it to Celery or back to the broker."""

from typing import Any

import msgspec
from celery.exceptions import InvalidTaskError


def require(form: type, part: Any) -> None:
    """Raise InvalidTaskError if a message's headers or decoded body do not have this ``form``."""
    try:
        msgspec.convert(part, form)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidTaskError(str(error)) from error


def may_be_dead_lettered(headers: Any) -> bool:
    """Whether RabbitMQ can extend the header ``x-death`` of a message.

    RabbitMQ 3.10 reads this header even if a client has forged it. If its form is wrong, no message
    of the queue is dead-lettered any more until RabbitMQ restarts.
    """
    deaths = headers.get("x-death", []) if isinstance(headers, dict) else []
    return isinstance(deaths, list) and all(isinstance(death, dict) for death in deaths)
