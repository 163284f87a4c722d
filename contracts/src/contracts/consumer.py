"""A worker's consumer that loses no message which it cannot understand, and that shows it lives."""

import socket
import warnings
from collections.abc import Callable
from typing import Any

import structlog
from amqp.exceptions import RecoverableConnectionError
from celery import bootsteps
from celery.platforms import EX_OK
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu import compression
from kombu.exceptions import DecodeError

from contracts.headers import may_be_dead_lettered
from contracts.liveness import LivenessFile
from contracts.pauses import Pauses
from contracts.results import REFUSED_SUFFIX
from contracts.stranded import Stranded

log = structlog.get_logger("warren.consumer")

DELAYS = "delayed_delivery"
LONGEST_PAUSE = 5.0  # seconds between two attempts to connect; Celery's own grows to 30
# Seconds without a byte from the broker after which reading or writing gives up. py-amqp would give
# a connection up that has waited for one second: each hiccup of the network would end all runs.
SOCKET_TIMEOUTS: dict[str, Any] = {
    "read_timeout": 15,
    "write_timeout": 15,
    "socket_settings": {socket.TCP_USER_TIMEOUT: 15_000},  # milliseconds
}


class StrictConsumer(Consumer):
    """Reject to the dead letters whatever is no task of ours.

    Stock Celery acknowledges a body that it cannot decode, so that it is gone, and logs bodies,
    which may hold secrets. What is wrong with a dead letter is worked out by web's collector.
    """

    connection_errors: tuple[type[Exception], ...]
    task_consumer: Any
    event_dispatcher: Any
    connection: Any
    pool: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        _refuse_compression()
        self._pauses = Pauses(LONGEST_PAUSE)
        self._consuming = self._ending = False
        super().__init__(*args, **options)
        self._stranded = Stranded(self.app.conf.task_start_timeout)

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
        """Reject a task that this worker does not have; a backend that can tell so does."""
        if tell := getattr(self.app.backend, "tell_unknown", None):
            tell(message.headers)
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
            except self.connection_errors:
                raise
            except Exception as error:  # noqa: BLE001 -- what forged messages set off has no end
                self._reject(message, error)

        return on_task_received

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, for as long as it takes."""
        while not conn.connected:
            try:
                conn.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            except (*conn.connection_errors, *conn.channel_errors) as error:
                log.warning("broker not reachable", reason=str(error))
                self._pauses.take(maybe_shutdown)
        return conn

    def connection_for_write(self, url: str | None = None, heartbeat: float | None = None) -> Any:
        """Connect for events, which are dropped while the broker takes none.

        Without that a worker fills the connection's buffers during a memory alarm, and then waits
        for its end without a heartbeat: the broker would take its tasks away.
        """
        connection = self.app.connection_for_write(url=url, heartbeat=heartbeat)
        connection.transport_options = SOCKET_TIMEOUTS | {
            "on_blocked": lambda _reason: self._send_events(False),
            "on_unblocked": lambda: self._send_events(True),
        }
        return self.ensure_connected(connection)

    def on_ready(self) -> None:
        """Note that this worker consumes."""
        self._consuming = True
        self._pauses = Pauses(LONGEST_PAUSE)
        super().on_ready()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Pause before connecting anew, longer each time: the queue may be missing for hours."""
        self._consuming = False
        with warnings.catch_warnings(action="ignore"):  # of another default in Celery 6.0
            super().on_connection_error_after_connected(exc)
        if self._ending:
            self.end()
        self._pauses.take(maybe_shutdown)

    def end(self) -> None:
        """Get ready to stop, and stop at once if there is nothing that could be acknowledged."""
        self._ending = True
        if not self._consuming:
            state.should_stop = EX_OK  # type: ignore[assignment]  # the stubs know None only

    def take_no_more(self) -> None:
        """Tell the broker to send no more messages."""
        if self._consuming:
            self._consuming = False
            self.task_consumer.cancel()

    def listen(self) -> None:
        """Make sure that the broker still has this worker as a consumer.

        Celery swallows the broker's word that the queue was deleted if it comes as the worker
        begins to consume (``_quick_drain`` in celery/worker/loops.py). And it swallows the end of a
        connection if an acknowledgement is the first to meet it: the socket reports it only once.

        Raises RecoverableConnectionError, at which the worker connects anew.
        """
        if not self._consuming:
            return
        if not self.connection.connected:
            raise RecoverableConnectionError("the connection is gone, and nobody has said so")
        if not self.task_consumer.channel.callbacks:
            raise RecoverableConnectionError("the broker has cancelled the consumer")
        self._stranded.give_back(self.pool)

    def _send_events(self, enabled: bool) -> None:
        if self.event_dispatcher:
            self.event_dispatcher.enabled = enabled

    def _reject(self, message: Any, error: Exception | None) -> None:
        log.error(
            "message rejected to the dead letters",
            reason=type(error).__name__ if error else "not a task message",
            routing_key=message.delivery_info.get("routing_key"),
            correlation_id=message.properties.get("correlation_id"),
        )
        if may_be_dead_lettered(message.headers):
            message.reject_log_error(log, self.connection_errors)
        else:
            self._send_home(message)

    def _send_home(self, message: Any) -> None:
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        correlation_id = str(message.properties.get("correlation_id", ""))
        routing_key = f"{self.app.main}{REFUSED_SUFFIX}"
        backend: Any = self.app.backend
        backend.publish(body, routing_key, correlation_id=correlation_id)
        message.ack_log_error(log, self.connection_errors)


def _refuse_compression() -> None:
    # A message of a few megabytes may grow to gigabytes, before anybody has looked at it.
    def refuse(_body: bytes) -> bytes:
        raise DecodeError("compressed")

    for content_type in compression.encoders():
        compression.register(refuse, refuse, content_type)


class Liveness(bootsteps.StartStopStep):
    """Touch the liveness file from the consumer's timer, and only while consuming.

    A worker that is alive but deaf, with its connection gone, stops touching it.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        self._file = LivenessFile(worker.app.conf.liveness_file)
        super().__init__(worker, **kwargs)

    def start(self, worker: Any) -> None:
        """Begin."""
        interval = worker.app.conf.report_interval
        self._beats = worker.timer.call_repeatedly(interval, self._beat, (worker,), priority=10)

    def stop(self, worker: Any) -> None:
        """End: a stopped worker is not alive, also while its pool still ends."""
        self._beats.cancel()
        self._file.remove()

    def terminate(self, worker: Any) -> None:
        """End in haste, as at SIGTERM: Celery then calls this and not ``stop``."""
        self.stop(worker)

    def _beat(self, worker: Any) -> None:
        connection = getattr(worker.consumer, "connection", None)
        if connection is not None:
            worker.consumer.listen()
            if connection.connected:
                self._file.touch()
