"""Web's own tasks: how they are called, and how a worker runs them."""

import time
from datetime import UTC, datetime
from typing import Any

import structlog
from asgiref.sync import sync_to_async
from celery import states
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Ignore, Retry
from django.conf import settings

from contracts.errors import PermanentError, result_too_large
from contracts.headers import TaskBody, TaskHeaders
from web.messaging.processes.lifecycle import is_outage
from web.tasks.capture import RefusedError, encoded
from web.tasks.events import check_depth
from worker.backend import attempt
from worker.pools.processes import at_work
from worker.task import AnsweringRequest

log = structlog.get_logger("warren.task")
QUERY_CANCELED = "57014"  # https://www.postgresql.org/docs/current/errcodes-appendix.html


class WebTaskHeaders(TaskHeaders, frozen=True):
    """Headers as OutboxCelery sends them: with groups and stamps, but no start in the future."""

    runs: int = 0
    group: str | None = None  # type: ignore[assignment]  # wider
    group_index: int | None = None
    shadow: str | None = None
    stamped_headers: list[str] | None = None  # type: ignore[assignment]


class WebTaskBody(TaskBody, array_like=True, frozen=True):
    """Arguments, and the signatures of the tasks that follow."""

    options: dict[str, Any]


class WebRequest(AnsweringRequest):
    """A message whose task may answer with an error: one of ``answers`` makes no dead letter."""

    headers_type = WebTaskHeaders
    body_type = WebTaskBody

    @property
    def answers(self) -> tuple[type[Exception], ...]:
        """Errors that are final answers: PermanentError, and those in the task's ``throws``."""
        return (PermanentError, *self.task.throws)


_Task: Any = DjangoTask  # the stubs know another


class WebTask(_Task):
    """The class of every ``@shared_task``. Arguments are hidden, unless ``shown`` names them.

    Its message is stored in the caller's transaction. Time limits hold for the function alone.
    """

    abstract = True
    Request = WebRequest
    shown: frozenset[str] | tuple[str, ...] = ()  # arguments that Flower and logs may show

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function, as a plain call or as the run of a message."""
        request = self.request
        if request.called_directly or getattr(request, "is_at_work", False):
            return super().__call__(*args, **kwargs)
        request.update(is_at_work=True, started_at=datetime.now(UTC))
        with structlog.contextvars.bound_contextvars(
            request_id=getattr(request, "request_id", None) or "",
            task=self.name,
            task_id=request.id,
            attempt=attempt(request),
        ):
            return self._work(args, kwargs)

    def _work(self, args: Any, kwargs: Any) -> Any:
        started = time.monotonic()
        try:
            with at_work():
                result = self.run(*args, **kwargs)
            self.request.encoded_result = result, _checked(result)
        except Retry as error:
            _log("task to be tried again", started, reason=type(error.exc or error).__name__)
            raise
        except Ignore as error:
            # Without an answer the task would count as lost. If the run has reported SUCCESS or
            # FAILURE itself, that outranks REVOKED.
            self.backend.store_result(self.request.id, error, states.REVOKED, request=self.request)
            raise
        except Exception as error:
            if _will_pass(error):
                _log("task to be tried again", started, reason=type(error).__name__)
                raise Retry("the database is away", error) from error
            _log("task failed", started, error=type(error).__name__)
            raise
        _log("task done", started)
        return result

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        """Do as ``delay``, in the transaction: a crash after the commit could lose the task."""
        return self.delay(*args, **kwargs)

    def apply_async_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        """Do as ``apply_async``."""
        return self.apply_async(*args, **kwargs)

    async def adelay(self, *args: Any, **kwargs: Any) -> Any:
        """Do as ``delay``, in a coroutine."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(self, *args: Any, **kwargs: Any) -> Any:
        """Do as ``apply_async``, in a coroutine."""
        return await sync_to_async(self.apply_async)(*args, **kwargs)

    def retry(self, *args: Any, throw: bool = True, **options: Any) -> Any:
        """Ask for another run, by raising Retry. Raises RefusedError for ``throw=False``."""
        if not throw and not self.request.called_directly:
            raise RefusedError("retry(throw=False): the run would end well, and so not run again")
        return super().retry(*args, throw=throw, **options)

    def replace(self, sig: Any) -> Any:
        """Refuse: raises RefusedError."""
        raise RefusedError("replace(): a task keeps its id and its row; return a result, or chain")

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        """Refuse: raises RefusedError."""
        raise RefusedError("add_to_chord(): a chord's size is fixed when it is sent")


class Contracted(WebTask):
    """The task of a contract, as web calls it: another service's worker runs it."""

    abstract = True
    typing = False  # the contract checks the arguments

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: raises RefusedError."""
        raise RefusedError(f"{self.name} runs in a worker of its own service: call delay()")


def _will_pass(error: Exception) -> bool:
    """Whether a run has failed only because the database is away.

    A cancelled statement does not count: it took too long, and would again.
    """
    canceled = getattr(error.__cause__, "sqlstate", None) == QUERY_CANCELED
    return is_outage(error) and not canceled


def _checked(result: Any) -> str:
    """Encode a result so that it can be stored.

    Raises EncodeError, RecursionError, or PermanentError if it is too large.
    """
    document = encoded(result)
    if len(document) > settings.JOB_SIZE_LIMIT * 1024:
        raise result_too_large(settings.JOB_SIZE_LIMIT)
    check_depth(document)
    return document


def _log(event: str, started: float, **fields: Any) -> None:
    log.info(event, seconds=round(time.monotonic() - started, 3), **fields)
