"""Celery's result backend, pointed at the exchange of its service's results."""

import threading
import time
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec
import structlog
from amqp.exceptions import ContentTooLarge, PreconditionFailed, RecoverableConnectionError
from celery import Celery
from celery.backends.rpc import RPCBackend
from celery.exceptions import TimeLimitExceeded
from celery.worker.state import maybe_shutdown
from kombu import Connection

from contracts.errors import PermanentError, PostponedError
from contracts.events import LONGEST_WAIT, Progress, TaskError, TaskEvent, TaskState
from contracts.topology import results_name
from runtime.backoff import Pauses
from worker.connections import producers

log = structlog.get_logger("warren.backend")

# While waiting for a confirm: seconds without any frame, even a heartbeat, after which a connection
# counts as dead.
SILENCE = 15.0
BRIEF_SILENCE = 2.0  # the same for messages that may get lost
MUTED_FOR = 10.0  # seconds without reports of progress after one that failed
LONGEST_PAUSE = 5.0  # seconds between two attempts, at most: the end of an outage is noticed soon
COMPLAIN_EVERY = 60.0  # seconds between two lines of the log about the same trouble
# The broker refuses the message because of its size, and would do so again.
HOPELESS = (ContentTooLarge, PreconditionFailed)
# Errors of a connection that is gone, which come at once; the end of a silence is none of them.
CUT = (ConnectionError, RecoverableConnectionError)
UNKNOWN_WORKER = "unknown"


class ResultPublisher:
    """Publishes a worker's messages to web: persistent, confirmed and mandatory.

    Stock ``rpc://`` publishes to the default exchange without asking whether anybody listens.
    """

    app: Celery
    _mute_until = 0.0  # no progress is published until then

    def publish_progress(self, *message: Any, **properties: Any) -> None:
        """Publish a report of progress, unless one has failed within the last MUTED_FOR seconds.

        A run must not wait again and again for a broker that does not take its progress.
        """
        if time.monotonic() >= self._mute_until and not self.publish_once(*message, **properties):
            self._mute_until = time.monotonic() + MUTED_FOR

    def publish(self, body: bytes, routing_key: str, **properties: Any) -> None:
        """Publish a message to the service's exchange and wait until a quorum of the broker has it.

        It tries until it succeeds, whatever the obstacle (no broker, no exchange, no queue, no
        permission, no room): a result must not get lost. If the worker is stopped meanwhile, the
        unacknowledged task runs again.

        Raises amqp's PreconditionFailed or ContentTooLarge if the message is too large.
        """
        pauses, told = Pauses(LONGEST_PAUSE), -COMPLAIN_EVERY
        while refusal := self._refusal(body, routing_key, **properties):
            if isinstance(refusal, HOPELESS):
                raise refusal
            if time.monotonic() - told > COMPLAIN_EVERY:
                told = time.monotonic()
                log.warning("result not delivered yet", reason=repr(refusal), **properties)
            pauses.take(_stop_if_told)

    @cached_property
    def _pattern(self) -> Connection:
        """Connections with publisher confirms, used for messages to web only.

        Everything else that a worker sends (events for Flower, replies to commands) may get lost.
        It must not block on a broker that has stopped reading.
        """
        return self.app.connection_for_write(transport_options={"confirm_publish": True})

    def publish_once(self, body: bytes, routing_key: str, **properties: Any) -> bool:
        """Publish a message that may get lost, without a long wait; returns whether it arrived.

        The connection may be one that was cut since its last use. A second try gets a new one.
        """
        refusal = self._refusal(body, routing_key, silence=BRIEF_SILENCE, **properties)
        if isinstance(refusal, CUT):
            refusal = self._refusal(body, routing_key, silence=BRIEF_SILENCE, **properties)
        if refusal:
            log.warning("not told", routing_key=routing_key, reason=repr(refusal))
        return not refusal

    def _refusal(
        self, body: bytes, routing_key: str, *, silence: float = SILENCE, **properties: Any
    ) -> Exception | None:
        """Publish once; returns the error, or None."""
        with producers[self._pattern].acquire(block=True) as producer:
            connection: Any = producer.connection
            try:
                connection.ensure_connection(max_retries=0)  # publish would try for ever
                producer.publish(
                    body,
                    exchange=results_name(self.app.main),
                    routing_key=routing_key,
                    content_type="application/json",
                    content_encoding="utf-8",
                    delivery_mode=2,
                    mandatory=True,
                    confirm_timeout=silence,
                    **properties,
                )
            except Exception as error:  # noqa: BLE001 -- amqp raises AttributeErrors, too
                # The connection is dropped. A late confirm on it would be taken for the next
                # message's.
                connection.collect()
                return error
        return None


class ResultBackend(ResultPublisher, RPCBackend):
    """Publish every state of a task as a TaskEvent.

    ``as_uri()`` stays ``rpc://``. With any other text, Celery 5.7 would query the backend for the
    result of a run whose process died.
    """

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Declare no queue for answers, as ``rpc://`` would: results go to the topology's queue."""

    def get_state(self, task_id: str) -> str:
        """Claim that another worker has started the task.

        Celery asks when a task is revoked that this worker does not have. Stock ``rpc://`` would
        declare a queue to find out, and then every worker would publish REVOKED.
        """
        return TaskState.STARTED

    def event(self, task_id: str, result: Any, state: str, *, request: Any) -> TaskEvent:
        """Describe one state of a run."""
        return task_event(task_id, result, state, request)

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
        event = self.event(task_id, result, state, request=request)
        body = msgspec.json.encode(event)
        if event.state == TaskState.PROGRESS:
            self.publish_progress(body, event.routing_key, correlation_id=task_id)
        else:
            self.publish(body, event.routing_key, correlation_id=task_id)
        return result


def _stop_if_told() -> None:
    # The worker's main process publishes, too, such as the end of a killed run. While it waits, it
    # must react to SIGTERM.
    if threading.current_thread() is threading.main_thread():
        maybe_shutdown()


def task_event(task_id: str, result: Any, state: str, request: Any) -> TaskEvent:
    """Describe one state of a task's run.

    ``request`` is Celery's context of the run. For a task that never ran it has fewer fields.
    """
    now = datetime.now(UTC)
    return TaskEvent(
        task_id=task_id,
        task=_field(request, "task", "unknown"),
        state=TaskState(state),
        attempt=attempt(request),
        worker=_field(request, "hostname", UNKNOWN_WORKER),
        at=now,
        started_at=_field(request, "started_at", now if state == TaskState.STARTED else None),
        request_id=_field(request, "request_id", ""),
        result=result if state == TaskState.SUCCESS else None,
        error=task_error(result) if isinstance(result, BaseException) else None,
        progress=Progress(**result) if state == TaskState.PROGRESS else None,
        again_in=_again_in(result),
    )


def _again_in(result: Any) -> float | None:
    return min(result.seconds, LONGEST_WAIT) if isinstance(result, PostponedError) else None


def attempt(request: Any) -> int:
    """Number of this run, from 1: the sender counts earlier runs, the broker redeliveries.

    Web's own tasks have earlier runs in ``runs``: their ``retries`` counts as in Celery.
    """
    earlier = int(_field(request, "runs", _field(request, "retries", 0)))
    return earlier + int(_field(request, "x-delivery-count", 0)) + 1


def _field(request: Any, name: str, default: Any) -> Any:
    value = getattr(request, name, None)
    return default if value is None else value


def task_error(error: BaseException) -> TaskError:
    """Put an error into words for the client."""
    if isinstance(error, PermanentError):
        return TaskError(error.kind, error.message)
    if isinstance(error, TimeLimitExceeded):
        return TaskError("TimeLimitExceeded", f"stopped at the hard limit of {error.args[0]} s")
    return TaskError(type(error).__name__, str(error))
