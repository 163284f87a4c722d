"""Messages from the workers to web, over the exchange of their service's results."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

CATALOGUE_ROUTING_KEY = "compute.catalogue"
REPORT_SUFFIX = ".report"
ANSWERS_SUFFIX = ".answers"  # for several events in one, see contracts.bundles
REFUSED_SUFFIX = ".refused"  # for a message that a worker cannot reject, see worker.headers
LONGEST_WAIT = 86_400  # seconds for which a worker may put off a task


class TaskState(StrEnum):
    """The states that an event can report: Celery's names, and PROGRESS."""

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

    ``attempt`` counts the runs of a task from 1, over retries and redeliveries. A later run has a
    higher number, so web can order the events whenever they arrive. ``again_in`` is set on a RETRY
    whose run did nothing: the seconds after which web sends the task again.
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
    again_in: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WAIT)] | None = None

    @property
    def kind(self) -> str:
        """The kind of work, by which web finds the table of the task's row."""
        return self.task

    @property
    def routing_key(self) -> str:
        """Task and state, so that a queue can be bound to some events only."""
        return f"{self.task}.{self.state.lower()}"


class MailReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``mailer.send_email``.

    ``answer`` is the SMTP server's. ``uncertain`` marks a mail that may have been sent twice: an
    earlier run began to send it, with an unknown outcome.
    """

    message_id: str
    answer: str
    uncertain: bool = False


class Computation(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the catalogue: the arguments, result and limits of a computation.

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
    """All computations of a compute worker, which announces them at its start and regularly."""

    worker: str
    at: datetime
    computations: list[Computation]


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's message about itself, every REPORT_INTERVAL seconds.

    ``holding`` are the ids of the tasks that it has taken from its queue and not yet answered.
    ``checks`` maps each thing that it needs, such as ``smtp``, to its fault; empty means none.
    ``started_at`` distinguishes its process from an earlier one of the same name.
    ``stopped`` marks the last report of a worker that was told to stop and ends as planned.
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
        """The same for all workers of a service."""
        return f"{self.service}{REPORT_SUFFIX}"
