"""Celery's result backend, pointed at the exchange ``warren.results``."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from celery import Celery
from celery.backends.rpc import RPCBackend
from celery.exceptions import TimeLimitExceeded
from kombu.exceptions import OperationalError

from contracts.errors import PermanentError
from contracts.results import Progress, TaskError, TaskEvent, TaskState
from contracts.topology import RESULTS

# A run is not held up by a broker that is away: how far it has come is worth no waiting.
ONCE: dict[str, Any] = {"max_retries": 0}
UNKNOWN_WORKER = "unknown"


class ResultBackend(RPCBackend):
    """Publish every state of a task as a TaskEvent: persistent, confirmed and mandatory.

    Stock ``rpc://`` publishes to the default exchange without asking whether anybody listens.
    ``as_uri()`` stays ``rpc://``, because Celery 5.7 asks for that very string before it would
    query the backend for results.
    """

    app: Celery

    # A finished task waits for the broker for as long as it takes: the result is worth no less
    # than the request. If the worker is stopped meanwhile, the unacknowledged task runs again.
    retry_policy: dict[str, Any] = {
        "max_retries": None,
        "interval_start": 0,
        "interval_step": 1,
        "interval_max": 15,
    }

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Declare nothing: the topology's owner has."""

    def get_state(self, task_id: str) -> str:
        """Claim that another worker has started the task.

        Each worker asks for it when it hears of a revoked task that it does not have. Stock
        ``rpc://`` would declare a queue to find out, and every worker would publish REVOKED.
        """
        return TaskState.STARTED

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Publish one state of a run; returns ``result`` as Celery expects."""
        event = task_event(task_id, result, state, request)
        body, properties = msgspec.json.encode(event), {"correlation_id": task_id}
        if event.state == TaskState.PROGRESS:
            self.publish_once(body, event.routing_key, **properties)  # and if not, the next will
        else:
            self.publish(body, event.routing_key, **properties)
        return result

    def publish(self, body: bytes, routing_key: str, **properties: Any) -> None:
        """Publish a message to ``warren.results`` and wait until a quorum of the broker has it."""
        while not self._published(body, routing_key, properties, self.retry_policy):
            pass

    def publish_once(self, body: bytes, routing_key: str, **properties: Any) -> bool:
        """Publish what is worth no waiting; False if the broker was away."""
        return self._published(body, routing_key, properties, ONCE)

    def _published(
        self,
        body: bytes,
        routing_key: str,
        properties: dict[str, Any],
        retry_policy: dict[str, Any],
    ) -> bool:
        try:
            with self.app.amqp.producer_pool.acquire(block=True) as producer:
                producer.publish(
                    body,
                    exchange=RESULTS.name,
                    routing_key=routing_key,
                    content_type="application/json",
                    content_encoding="utf-8",
                    delivery_mode=2,
                    mandatory=True,
                    retry=True,
                    retry_policy=retry_policy,
                    **properties,
                )
        except OperationalError:
            return False  # silence on a connection that looked alive: take another one
        return True


def task_event(task_id: str, result: Any, state: str, request: Any) -> TaskEvent:
    """Describe one state of a task's run.

    ``request`` is Celery's context of the run, or less of it for a task that never ran.
    """
    now = datetime.now(UTC)
    return TaskEvent(
        task_id=task_id,
        task=_field(request, "task", "unknown"),
        state=TaskState(state),
        attempt=attempt(request),
        worker=_field(request, "hostname", UNKNOWN_WORKER),
        at=now,
        started_at=now if state == TaskState.STARTED else _field(request, "started_at", None),
        request_id=_field(request, "request_id", ""),
        result=result if state == TaskState.SUCCESS else None,
        error=_error(result) if isinstance(result, BaseException) else None,
        progress=Progress(**result) if state == TaskState.PROGRESS else None,
    )


def attempt(request: Any) -> int:
    """Number of this run, from 1: the sender counts retries, the broker counts redeliveries."""
    retries = int(_field(request, "retries", 0))
    return retries + int(_field(request, "x-delivery-count", 0)) + 1


def _field(request: Any, name: str, default: Any) -> Any:
    value = getattr(request, name, None)
    return default if value is None else value


def _error(error: BaseException) -> TaskError:
    if isinstance(error, PermanentError):
        return TaskError(error.kind, error.message)
    if isinstance(error, TimeLimitExceeded):
        return TaskError("TimeLimitExceeded", f"stopped at the hard limit of {error.args[0]} s")
    return TaskError(type(error).__name__, str(error))
