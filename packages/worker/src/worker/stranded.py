"""Tasks that a worker holds but no process of its pool begins.

Celery hands a task to a process, which then confirms that it has begun. If the process is killed or
frozen in between, the task may stay with the worker for good, while other processes are idle.
"""

import time
from typing import Any

import structlog
from celery.worker import state

log = structlog.get_logger("warren.stranded")


class Stranded:
    """Finds such tasks, and gives them back to the queue."""

    def __init__(self, patience: float) -> None:
        """Begin. ``patience``: seconds for which a task may wait although a process is idle."""
        self._patience = patience
        self._since: dict[Any, float] = {}

    def give_back(self, pool: Any) -> None:
        """Look once. A task that has waited for too long goes back to the queue."""
        now = time.monotonic()
        idle = len(state.active_requests) < pool.num_processes
        waiting = state.reserved_requests - state.active_requests if idle else ()
        self._since = {request: self._since.get(request, now) for request in waiting}
        for request, since in self._since.items():
            if now - since > self._patience:
                log.warning("task was not begun", task=request.type, task_id=request.id)
                request.reject(requeue=True)
                state.task_ready(request)
