"""Celery's result backend: workers send states as messages, and web reads them from rows."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from billiard import current_process
from celery import states
from celery.app.task import Context
from celery.backends.base import BaseBackend
from celery.exceptions import NotRegistered
from celery.exceptions import TimeoutError as NotReadyError
from celery.result import result_from_tuple
from kombu.utils.json import dumps, loads

from contracts.events import TaskError, TaskState
from runtime.text import storable_text
from web.postgresql.pool import give_back
from web.tasks.capture import encoded
from web.tasks.events import WebTaskEvent
from web.tasks.models import Task, TaskGroup
from web.tracking.rules import PHASES
from web.tracking.waiting import RECHECK, watch
from worker.backend import ResultPublisher, task_error, task_event

CELERYS = {
    Task.State.RUNNING: states.STARTED,
    Task.State.SUCCEEDED: states.SUCCESS,
    Task.State.FAILED: states.FAILURE,
    Task.State.CANCELLED: states.REVOKED,
}
# States that Celery reports. Any other is one that a run has set with ``update_state``.
PUBLISHED = frozenset(TaskState) - {TaskState.PROGRESS}
LONGEST_NAME = 200  # characters
LONGEST_TRACEBACK = 10_000  # characters, of its end


_Backend: Any = BaseBackend  # the stubs know only a part of it


class TaskBackend(ResultPublisher, _Backend):
    """Workers publish states; readers query the rows that the collector keeps.

    ``as_uri()`` returns ``rpc://``. With any other URI, a worker of Celery 5.7 would query the
    backend whether a success was stored.
    """

    def as_uri(self, include_password: bool = True) -> str:
        """Name the backend."""
        return "rpc://"

    def get_state(self, task_id: str) -> str:
        """Return the state; in a worker's main process always STARTED.

        Each worker asks for the state of a revoked task that it is not running. For a task that
        waits elsewhere it would then publish REVOKED.
        """
        if getattr(self.app, "is_worker", False) and current_process().name == "MainProcess":
            return states.STARTED
        state: str = super().get_state(task_id)
        return state

    # -- What a worker sends --

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Publish one state of a run; returns ``result`` as Celery expects."""
        event = self.event(task_id, result, state, traceback, request=request)
        body = msgspec.json.encode(event)
        publish = self.publish_progress if event.custom_state else self.publish
        publish(body, event.routing_key, correlation_id=task_id)
        return result

    def tell_unknown(self, headers: dict[str, Any]) -> None:
        """Report a task as failed that this worker does not know: its code may be older."""
        name = storable_text(headers.get("task", ""), LONGEST_NAME)
        known = _uuid(headers.get("id"))
        if known:
            words = f"{name}: the worker has no such task; restart it with the code that has it"
            request = Context(headers, task=name)
            self.store_result(str(known), NotRegistered(words), states.FAILURE, request=request)

    def event(
        self, task_id: str, result: Any, state: str, traceback: Any = None, *, request: Any
    ) -> WebTaskEvent:
        """Describe one state of a run."""
        if state not in PUBLISHED:
            progress = {"done": _count_update(request), "total": 0}
            event = task_event(task_id, progress, TaskState.PROGRESS, request)
            said = {"custom_state": state, "meta": encoded(result)}
            return WebTaskEvent(**msgspec.structs.asdict(event) | said)
        fields = msgspec.structs.asdict(task_event(task_id, None, state, request))
        if state == states.SUCCESS:
            # A base class of the task's own may have replaced the result since it was encoded.
            checked, text = getattr(request, "encoded_result", None) or (None, "")
            fields["result"] = text if text and checked is result else encoded(result)
            fields["children"] = _children(self.current_task_children(request))
        elif isinstance(result, BaseException):
            fields |= self._failure(result, traceback)
        if state == states.RETRY:
            fields["again"] = getattr(request, "again", None)
        return WebTaskEvent(**fields)

    def _failure(self, error: BaseException, traceback: Any) -> dict[str, Any]:
        told = task_error(error)
        return {
            "error": TaskError(storable_text(told.type), storable_text(told.message)),
            "exception": encoded(self.prepare_exception(error)),
            "traceback": storable_text(str(traceback or "")[-LONGEST_TRACEBACK:]),
        }

    def _fail_chain(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the tasks that follow a failed one fail with its row."""

    # -- What web reads --

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        row = _find(task_id)
        return self._meta(row) if row else {"status": states.PENDING, "result": None}

    def _meta(self, row: Task) -> dict[str, Any]:
        status = _status(row)
        if status in states.EXCEPTION_STATES:
            result = _kombus(row.exception) or {
                "exc_type": row.error_type or "Retry",
                "exc_module": "celery.exceptions",
                "exc_message": [row.error_message],
            }
        elif row.state == Task.State.RUNNING:
            result = _kombus(row.meta) if row.custom_state else {"hostname": row.worker}
        else:
            result = _kombus(row.result)
        meta: dict[str, Any] = self.meta_from_decoded(
            {
                "task_id": str(row.pk),
                "status": status,
                "result": result,
                "traceback": row.traceback or None,
                "children": [
                    result_from_tuple(child, app=self.app) for child in row.children or ()
                ],
                "date_done": row.finished_at,
                "name": row.name,
                "retries": max(row.attempt - 1, 0),
                "parent_id": str(row.parent_id) if row.parent_id else None,
            }
        )
        return meta

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        """Wait for a task to end.

        Raises celery.exceptions.TimeoutError. Raises InsideTransactionError in a transaction, which
        would wait for ever for a task that it has sent itself.
        """
        self._ensure_not_eager()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            row = _find(task_id)
            left = (
                RECHECK if deadline is None else max(0, min(RECHECK, deadline - time.monotonic()))
            )
            row = watch.wait(row, left) if row else _wait_for_row(task_id, left)
            if row and row.is_final:
                return self.get_task_meta(task_id)
            if on_interval:
                on_interval()
            if deadline is not None and time.monotonic() >= deadline:
                raise NotReadyError("The operation timed out.")

    def _forget(self, task_id: str) -> None:
        row = _find(task_id)
        if row and row.is_final:
            row.delete()
        elif row:
            Task.objects.filter(pk=row.pk).update(ignore_result=True)

    # -- Groups and chords --

    def _save_group(self, group_id: str, result: Any) -> Any:
        saved = result.as_tuple()
        TaskGroup.objects.update_or_create(pk=group_id, defaults={"saved": saved})
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        group = TaskGroup.objects.filter(pk=group_id, saved__isnull=False).first()
        return {"result": result_from_tuple(group.saved, app=self.app)} if group else None

    def _delete_group(self, group_id: str) -> None:
        TaskGroup.objects.filter(pk=group_id).delete()

    def apply_chord(self, header_result_args: Any, body: Any, **kwargs: Any) -> None:
        """Do nothing: ``followers`` sends the body after the last member of the header."""

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Store for how many tasks a body waits, in the transaction that stores them."""
        TaskGroup.objects.update_or_create(pk=group_id, defaults={"chord_size": chord_size})


def _children(children: list[Any] | None) -> str | None:
    return encoded(children) if children else None


def _kombus(value: Any) -> Any:
    """Turn JSON from PostgreSQL back into kombu's types: times, decimals and UUIDs."""
    return value if isinstance(value, (str, int, float, type(None))) else loads(dumps(value))


def _status(row: Task) -> str:
    if row.state == Task.State.QUEUED:
        return states.RETRY if row.phase == PHASES[TaskState.RETRY] else states.PENDING
    if row.state == Task.State.RUNNING and row.custom_state:
        return row.custom_state
    return CELERYS[Task.State(row.state)]


def _count_update(request: Any) -> int:
    request.updates = getattr(request, "updates", None) or 0
    request.updates += 1
    return int(request.updates)


def _wait_for_row(task_id: str, seconds: float) -> Task | None:
    """Wait ``seconds``, then look for a task that had no committed row."""
    give_back()
    time.sleep(seconds)
    return _find(task_id)


def _find(task_id: str) -> Task | None:
    """Find a row; None for an id that is not a valid UUID, too."""
    known = _uuid(task_id)
    return Task.objects.filter(pk=known).defer("message").first() if known else None


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
