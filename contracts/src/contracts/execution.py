"""How a worker runs a task: decode by contract, call a plain function, answer."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from signal import SIGKILL
from typing import Any

import structlog
from celery import Task, current_task
from celery.exceptions import Retry
from celery.worker.request import Request
from celery.worker.state import task_ready

from contracts.backend import attempt
from contracts.errors import (
    MalformedMessageError,
    PermanentError,
    TaskReturnedError,
    TransientError,
)
from contracts.headers import TaskBody, TaskHeaders, require
from contracts.processes import at_work
from contracts.results import TaskState
from contracts.tasks import TaskContract

log = structlog.get_logger("warren.task")


class AnsweringRequest(Request):
    """A message of which the answer "it failed" is as good as any other."""

    _context: Any  # the stubs do not know of it
    headers_type: type = TaskHeaders
    body_type: type = TaskBody
    answers: Any = (PermanentError,)  # errors that are final answers

    def __init__(self, message: Any, **options: Any) -> None:
        # What Celery would find out in the pool, where it acknowledges the message all the same
        # or stumbles so badly that it never settles it.
        require(self.headers_type, message.headers)
        require(self.body_type, message.payload)
        super().__init__(message, **options)

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """End a revoked run, whatever signal was asked for.

        The pool's processes ignore SIGTERM, which Flower sends. Any other signal that they could
        handle would raise an exception, for instance in the middle of publishing a state, and
        the process would spend a minute on closing that connection in good order.
        """
        super().terminate(pool, SIGKILL)

    def give_back(self, pool: Any) -> None:
        """End a run because its worker stops, and have web send the request again.

        The broker could do so, but counts that as a failed delivery: a task that lasts longer than
        four deployments apart would end in the dead letters.
        """
        if self.time_start:
            with suppress(NotImplementedError):  # a thread cannot be killed
                pool.terminate_job(self.worker_pid, SIGKILL)
        self._already_cancelled = True  # so that its end is not reported
        error = TaskReturnedError("its worker was stopped")
        self.task.backend.mark_as_retry(self.id, error, request=self._context)
        self.acknowledge()
        task_ready(self)  # now: until web has the answer, the worker reports the task as held

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Acknowledge a final answer; leave every unforeseen failure to the dead letters."""
        error = exc_info.exception
        if isinstance(getattr(error, "exc", error), self.answers):
            self.acknowledge()  # after which Celery's own rejection has no effect
        try:
            return super().on_failure(exc_info, *args, **kwargs)
        except Exception:  # whatever it is, the message must not stay with the worker for good
            log.exception("failure could not be reported", task=self.name, task_id=self.id)
            self.reject(requeue=False)


class ContractTask(Task):  # type: ignore[type-arg]  # celery's Task is generic in its stubs only
    """A task whose function takes the contract's payload.

    The function returns the result (JSON types or msgspec structs), or raises TransientError
    (web asks again later), PermanentError (a final answer), or anything else, which puts the
    message into the dead letters. Timing, logs and the request id are kept here.
    """

    abstract = True
    Request = AnsweringRequest  # type: ignore[assignment]
    throws = (PermanentError, MalformedMessageError)  # foreseen: Celery logs no traceback of them
    contract: TaskContract[Any]

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
