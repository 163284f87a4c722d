"""Headers and body of a task message, as far as Warren or Celery reads them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

# The name that Flower shows for a task: ``compute.add``, or ``compute.add ×20`` for a bundle.
SHADOW = r"\A[a-z]+\.[A-Za-z0-9_.-]{1,100}( ×[0-9]{1,2})?\Z"
Seconds = Annotated[float, msgspec.Meta(gt=0, le=10**9)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class TaskHeaders(msgspec.Struct, frozen=True):
    """Headers as web sends them. A worker accepts no other values.

    Other values would make Celery hold the task, publish another task, or stop. A start in the
    future (``eta``) would occupy one of the few messages that a worker may hold.
    """

    id: UUID  # web cannot assign results to a task with any other kind of id
    task: str
    retries: Annotated[int, msgspec.Meta(ge=0, le=10**6)] | None = None
    timelimit: tuple[Seconds | None, Seconds | None] | None = None
    expires: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    request_id: str | None = None
    accepted_at: Moment | None = None  # the time of the request, the same each time it is sent
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
    """Arguments by position, arguments by name, and Celery's options, which must all be null."""

    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, None]
