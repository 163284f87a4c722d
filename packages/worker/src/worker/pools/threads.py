"""A pool of threads that settles every message."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.concurrency import thread


class TaskPool(thread.TaskPool):
    """Celery's pool of threads, which also reports errors outside of the traced task.

    Celery drops an error that escapes from the tracing of a task. The message would stay with the
    worker, neither acknowledged nor rejected. With one such message for each thread, the worker
    would get no more.
    """

    def on_apply(self, target: Any, *args: Any, **options: Any) -> Any:
        """Run a task, and report an error that its tracing does not report."""
        result = super().on_apply(target, *args, **options)
        result.f.add_done_callback(partial(_report, options.get("error_callback")))
        return result


def _report(error_callback: Callable[[Any], Any] | None, future: Future[Any]) -> None:
    error = None if future.cancelled() else future.exception()
    if error and error_callback:
        error_callback(ExceptionInfo((type(error), error, error.__traceback__)))
