"""A worker's consumer that loses no message which it cannot understand, and that shows it lives."""

from collections.abc import Callable
from typing import Any

import structlog
from celery import bootsteps
from celery.worker.consumer import Consumer

from contracts.liveness import INTERVAL, LivenessFile

log = structlog.get_logger("warren.consumer")

DELAYS = "delayed_delivery"


class StrictConsumer(Consumer):
    """Reject to the dead letters whatever is no task of ours.

    Stock Celery acknowledges a body that it cannot decode, so that it is gone, and logs bodies,
    which may hold secrets. What is wrong with a dead letter is worked out by web's collector.
    """

    connection_errors: tuple[type[Exception], ...]

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc, valid-type]  # no type in the stubs
        """Celery's steps without the one that declares 28 queues for countdowns: none is sent."""

        default_steps = [step for step in Consumer.Blueprint.default_steps if DELAYS not in step]

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject a body that is not JSON."""
        self._reject(message, exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Reject JSON that is no task message."""
        self._reject(message, None)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Reject a task that this worker does not have."""
        self._reject(message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Reject a task message with wrong headers."""
        self._reject(message, exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Wrap Celery's handler, which lets some malformed bodies stop the whole worker."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                handle(message)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                self._reject(message, error)

        return on_task_received

    def _reject(self, message: Any, error: Exception | None) -> None:
        log.error(
            "message rejected to the dead letters",
            reason=type(error).__name__ if error else "not a task message",
            routing_key=message.delivery_info.get("routing_key"),
            correlation_id=message.properties.get("correlation_id"),
        )
        message.reject_log_error(log, self.connection_errors)


class Liveness(bootsteps.StartStopStep):
    """Touch the liveness file from the consumer's timer, and only while connected.

    A worker that is alive but deaf, with its connection gone, stops touching it.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        self._file = LivenessFile(worker.app.conf.liveness_file)
        super().__init__(worker, **kwargs)

    def start(self, worker: Any) -> None:
        """Begin."""
        worker.timer.call_repeatedly(INTERVAL, self._beat, (worker,), priority=10)

    def stop(self, worker: Any) -> None:
        """End: a stopped worker is not alive."""
        self._file.remove()

    def terminate(self, worker: Any) -> None:
        """End in haste, as at SIGTERM: Celery then calls this and not ``stop``."""
        self.stop(worker)

    def _beat(self, worker: Any) -> None:
        connection = getattr(worker.consumer, "connection", None)
        if connection is not None and connection.connected:
            self._file.touch()
