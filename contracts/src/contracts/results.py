"""What the workers send home, each over the exchange of its service's results."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

CATALOGUE_ROUTING_KEY = "compute.catalogue"
REPORT_SUFFIX = ".report"
REFUSED_SUFFIX = ".refused"  # of a message that a worker could not reject


class TaskState(StrEnum):
    """Celery's names for what happens to a task."""

    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"


class Progress(msgspec.Struct, frozen=True):
    """``done`` of ``total`` units of work."""

    done: int
    total: int


class TaskError(msgspec.Struct, frozen=True):
    """Why a task failed or is to be tried again, in words for the client."""

    type: str
    message: str


class TaskEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One state of one run of a task.

    ``attempt`` counts the runs of a task from 1, over retries and redeliveries: a later run has
    a higher number, so that events can be put in order whatever order they arrive in.
    """

    task_id: str
    task: str
    state: TaskState
    attempt: int
    worker: str
    at: datetime
    started_at: datetime | None = None
    result: Any = None
    error: TaskError | None = None
    progress: Progress | None = None
    request_id: str = ""

    @property
    def kind(self) -> str:
        """Of work, by which web finds the rows that it speaks of."""
        return self.task

    @property
    def routing_key(self) -> str:
        """Task and state, so that a service can bind to just what it wants to see."""
        return f"{self.task}.{self.state.lower()}"


class MailReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``mailer.send_email``.

    ``answer`` is the SMTP server's. ``uncertain`` marks a mail that may have gone out twice,
    because a worker died between sending it and noting that.
    """

    message_id: str
    answer: str
    uncertain: bool = False


class Computation(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the catalogue: what a client may submit, and within which limits.

    ``arguments`` and ``result`` are JSON Schemas (2020-12). Times are seconds, memory is MiB.
    """

    name: str
    summary: str
    description: str
    arguments: dict[str, Any]
    result: dict[str, Any]
    soft_time_limit: int
    time_limit: int
    memory_limit: int


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All computations that a compute worker offers, announced when it starts and now and then."""

    worker: str
    at: datetime
    computations: list[Computation]


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of itself every few seconds.

    ``holding`` are the ids of the tasks that it has taken from its queue and not yet answered.
    ``checks`` maps what it needs, such as ``smtp``, to what is wrong with it, or to nothing.
    ``started_at`` tells this life of its process from the one before, which may have had its name.
    ``stopped`` marks the last one, of a worker that ends as it was told to.
    """

    service: str
    worker: str
    at: datetime
    holding: list[str]
    checks: dict[str, str]
    started_at: datetime | None = None
    stopped: bool = False

    @property
    def routing_key(self) -> str:
        """One for all workers of a service."""
        return f"{self.service}{REPORT_SUFFIX}"
