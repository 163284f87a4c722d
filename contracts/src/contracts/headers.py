"""The headers of a task message, as far as anything here or in Celery looks at them."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from celery.exceptions import InvalidTaskError

# What Flower shows as a task's name, such as ``compute.add``.
SHADOW = r"\A[a-z]+\.[A-Za-z0-9_.-]{1,100}\Z"
Seconds = Annotated[float, msgspec.Meta(gt=0, le=10**9)]


class TaskHeaders(msgspec.Struct, frozen=True):
    """What web sends. All else makes Celery hold a task, publish another, or stop.

    A start in the future (``eta``) would occupy one of the few messages that a worker may hold.
    """

    id: UUID  # web could not make anything of the results of another
    task: str
    retries: Annotated[int, msgspec.Meta(ge=0, le=10**6)] | None = None
    timelimit: tuple[Seconds | None, Seconds | None] | None = None
    expires: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    request_id: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    ignore_result: bool | None = None
    deliveries: int | None = msgspec.field(name="x-delivery-count", default=None)
    deaths: list[dict[str, Any]] | None = msgspec.field(name="x-death", default=None)
    eta: None = None
    shadow: Annotated[str, msgspec.Meta(pattern=SHADOW)] | None = None
    group: None = None
    stamped_headers: None = None


class TaskBody(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Arguments by position and by name, and options, of which none is in use here."""

    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, None]


def require(form: type, part: Any) -> None:
    """Raise InvalidTaskError if the headers or the decoded body of a message have another form."""
    try:
        msgspec.convert(part, form)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidTaskError(str(error)) from error


def may_be_dead_lettered(headers: Any) -> bool:
    """Whether RabbitMQ can add a death to those that the headers tell of.

    RabbitMQ 3.10 looks into ``x-death`` without asking who has written it. One of another form ends
    the dead-lettering of its queue, of that message and of all that follow, until a restart.
    """
    deaths = headers.get("x-death", []) if isinstance(headers, dict) else []
    return isinstance(deaths, list) and all(isinstance(death, dict) for death in deaths)
