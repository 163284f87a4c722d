"""How a worker runs a task: decode by contract, call a plain function, answer."""

import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from signal import SIGKILL
from typing import Any

import msgspec
import structlog
from celery import Task, current_task
from celery.exceptions import Retry
from celery.worker.request import Request
from celery.worker.state import task_ready

from contracts.errors import (
    MalformedMessageError,
    PermanentError,
    TaskReturnedError,
    TransientError,
)
from contracts.events import TaskState
from contracts.headers import TaskBody, TaskHeaders
from contracts.tasks import TaskContract
from worker.backend import attempt
from worker.headers import require
from worker.pools.processes import at_work
from worker.starts import starts

log = structlog.get_logger("warren.task")


class AnsweringRequest(Request):
    """A message that is acknowledged even if its task ends with a final error."""

    _context: Any  # the stubs do not know of it
    headers_type: type = TaskHeaders
    body_type: type = TaskBody
    answers: Any = (PermanentError,)  # errors that are final answers

    def __init__(self, message: Any, **options: Any) -> None:
        # Celery would notice a wrong form only in the pool. There it acknowledges the message all
        # the same, or fails in a way that leaves the message unsettled.
        require(self.headers_type, message.headers)
        require(self.body_type, message.payload)
        super().__init__(message, **options)

    @property
    def held_ids(self) -> Collection[str]:
        """The tasks that the worker has in hand with this message."""
        return [self.id]

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        """Note that a process of the pool has begun with it."""
        super().on_accepted(pid, time_accepted)
        if not self.task.track_started:
            starts.note(self)

    def tell_start(self) -> bool:
        """Publish that the run has begun; returns whether the broker has it."""
        backend: Any = self.task.backend
        self._context.update(started_at=datetime.fromtimestamp(self.time_start or time.time(), UTC))
        event = backend.event(self.id, None, TaskState.STARTED, request=self._context)
        body = msgspec.json.encode(event)
        return bool(backend.publish_once(body, event.routing_key, correlation_id=self.id))

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Kill a revoked run, whatever signal was asked for.

        The pool's processes ignore SIGTERM, which Flower sends. A signal that they handle would
        raise an exception, perhaps while a state is being published. The process would then take a
        minute to close that connection properly.
        """
        super().terminate(pool, SIGKILL)

    def give_back(self, pool: Any) -> None:
        """End a run because its worker stops, and have web send the request again.

        The broker would deliver it again, too, but counts that as a failed delivery. A long task
        that is interrupted by four deployments would become a dead letter.
        """
        if self.time_start:
            with suppress(NotImplementedError):  # a thread cannot be killed
                pool.terminate_job(self.worker_pid, SIGKILL)
        self._already_cancelled = True  # so that its end is not reported
        self._return()
        self.acknowledge()
        task_ready(self)  # only now: the worker reports the task as held until web has the answer

    def _return(self) -> None:
        error = TaskReturnedError("its worker was stopped")
        self.task.backend.mark_as_retry(self.id, error, request=self._context)

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Acknowledge a final answer; an unforeseen failure makes a dead letter of the message."""
        error = exc_info.exception
        if isinstance(getattr(error, "exc", error), self.answers):
            self.acknowledge()  # Celery's own rejection then has no effect
        try:
            return super().on_failure(exc_info, *args, **kwargs)
        except Exception:  # the message must not stay with the worker for good
            log.exception("failure could not be reported", task=self.name, task_id=self.id)
            self.reject(requeue=False)


class ContractTask(Task):  # type: ignore[type-arg]  # celery's Task is generic in its stubs only
    """A task whose function takes the contract's payload.

    The function returns the result (JSON types or msgspec structs) or raises an error.
    TransientError: web asks again later. PermanentError: a final answer. Any other error makes a
    dead letter of the message. The class adds timing, logs and the request id.
    """

    abstract = True
    Request = AnsweringRequest  # type: ignore[assignment]
    throws = (PermanentError, MalformedMessageError)  # foreseen: Celery logs no traceback of them
    contract: TaskContract[Any]

    @property
    def accepted_at(self) -> datetime | None:
        """When web accepted the request that runs here; None if its message does not say."""
        text = getattr(self.request, "accepted_at", None)
        return datetime.fromisoformat(text) if text else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function on the decoded payload."""
        started = time.monotonic()
        self.request.update(started_at=datetime.now(UTC))  # travels with the results of this run
        with structlog.contextvars.bound_contextvars(
            request_id=getattr(self.request, "request_id", None),
            task=self.name,
            task_id=self.request.id,
            attempt=attempt(self.request),
        ):
            try:
                with at_work():
                    result = self.run(self.contract.decode(kwargs))
            except TransientError as error:
                _log_end("task to be tried again", started, reason=str(error))
                raise Retry(str(error), error) from error
            except PermanentError as error:
                _log_end("task answered with an error", started, error=error.kind)
                raise
            except MalformedMessageError as error:
                log.error("task request malformed", reason=str(error))
                raise
            _log_end("task done", started)
            return result


def report_progress(done: int, total: int) -> None:
    """Tell the client how far the running task has come; outside of a task, do nothing."""
    if current_task:
        current_task.update_state(state=TaskState.PROGRESS, meta={"done": done, "total": total})


def _log_end(event: str, started: float, **fields: Any) -> None:
    log.info(event, seconds=round(time.monotonic() - started, 3), **fields)
