"""Django's Tasks API over the same outbox: ``@task``, ``enqueue()``, ``get_result()``.

Source: https://docs.djangoproject.com/en/stable/topics/tasks/ and django-tasks, which has it for
Django 5.2.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

from celery import shared_task
from django.utils.module_loading import import_string
from django_tasks import signals
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task as DjangosTask
from django_tasks.base import TaskContext, TaskError, TaskResult, TaskResultStatus
from django_tasks.exceptions import TaskResultDoesNotExist
from django_tasks.utils import normalize_json

from web.tasks.messages import StoredMessage
from web.tasks.models import Task
from worker.backend import attempt

CALL = "web.call"  # the shared task that runs all of Django's tasks
STATUSES = {
    Task.State.QUEUED: TaskResultStatus.READY,
    Task.State.RUNNING: TaskResultStatus.RUNNING,
    Task.State.SUCCEEDED: TaskResultStatus.SUCCESSFUL,
    Task.State.FAILED: TaskResultStatus.FAILED,
    Task.State.CANCELLED: TaskResultStatus.FAILED,
}
# Quorum queues know two priorities: https://www.rabbitmq.com/docs/quorum-queues#priorities
HIGH, NORMAL = 5, 0
shared: Any = shared_task  # the stubs do not know it with these options


@shared(name=CALL, bind=True)
def call(self: Any, path: str, args: list[Any], kwargs: dict[str, Any], alias: str) -> Any:
    """Run the function of a Django task, which ``path`` names."""
    task: DjangosTask[Any, Any] = import_string(path)
    backend = task.using(backend=alias).get_backend()
    stored = backend.get_result(self.request.id)
    runs = [self.request.hostname] * attempt(self.request)
    running = replace(stored, status=TaskResultStatus.RUNNING, worker_ids=runs)
    signals.task_started.send(type(backend), task_result=running)
    context = (TaskContext(task_result=running),) if task.takes_context else ()
    return normalize_json(task.call(*context, *args, **kwargs))


class OutboxBackend(BaseTaskBackend):
    """Stores tasks in the caller's transaction; the worker ``tasks`` runs them."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def enqueue(self, task: DjangosTask[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any]:
        """Store a task. Raises InvalidTaskError, and TypeError if the arguments are not JSON."""
        self.validate_task(task)
        sent = call.apply_async(
            (task.module_path, normalize_json(list(args)), normalize_json(kwargs), self.alias),
            eta=task.run_after,
            priority=HIGH if task.priority > 0 else NORMAL,
            shadow=task.module_path,
        )
        result = self.get_result(sent.id)
        signals.task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult[Any]:
        """Read a task's row. Raises TaskResultDoesNotExist."""
        known = _uuid(result_id)
        row = known and Task.objects.filter(pk=known, name=CALL).first()
        if not row:
            raise TaskResultDoesNotExist(result_id)
        path, args, kwargs, alias = StoredMessage.of(row.message).arguments
        result: TaskResult[Any] = TaskResult(
            task=import_string(path),
            id=str(row.pk),
            status=STATUSES[Task.State(row.state)],
            enqueued_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            last_attempted_at=row.started_at,
            args=args,
            kwargs=kwargs,
            backend=alias,
            errors=_errors(row),
            worker_ids=[row.worker] * row.attempt,
        )
        object.__setattr__(result, "_return_value", row.result)  # frozen, and not set by __init__
        return result


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _errors(row: Task) -> list[TaskError]:
    if row.state not in (Task.State.FAILED, Task.State.CANCELLED):
        return []
    known = row.exception or {
        # The task ended without an exception of a run.
        "exc_module": "contracts.errors",
        "exc_type": "WarrenError",
    }
    path = f"{known['exc_module']}.{known['exc_type']}"
    return [TaskError(exception_class_path=path, traceback=row.traceback or row.error_message)]
