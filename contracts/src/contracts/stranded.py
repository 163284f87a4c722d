"""Tasks that a worker has in hand and that no process of its pool begins.

Celery hands a task to a process and waits for its word that it has begun. If that process is killed
or frozen just then, the task may stay with the worker for good, while other processes are idle.
"""

import time
from typing import Any

import structlog
from celery.worker import state

log = structlog.get_logger("warren.stranded")


class Stranded:
    """Finds such tasks, and gives them back to the queue."""

    def __init__(self, patience: float) -> None:
        """Begin; for ``patience`` seconds a process may be idle while a task waits."""
        self._patience = patience
        self._since: dict[Any, float] = {}

    def give_back(self, pool: Any) -> None:
        """Look once more; what has waited in vain for too long is delivered again."""
        now = time.monotonic()
        idle = len(state.active_requests) < pool.num_processes
        waiting = state.reserved_requests - state.active_requests if idle else ()
        self._since = {request: self._since.get(request, now) for request in waiting}
        for request, since in self._since.items():
            if now - since > self._patience:
                log.warning("task was not begun", task=request.type, task_id=request.id)
                request.reject(requeue=True)
                state.task_ready(request)
