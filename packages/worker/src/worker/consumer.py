"""A worker's consumer, which loses no message even if it cannot read it."""

import warnings
from collections.abc import Callable
from typing import Any

import structlog
from amqp.exceptions import RecoverableConnectionError
from celery.platforms import EX_OK
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu import compression
from kombu.exceptions import DecodeError

from contracts.events import REFUSED_SUFFIX
from runtime.backoff import Pauses
from runtime.broker import SOCKET_TIMEOUTS
from worker.headers import may_be_dead_lettered
from worker.stranded import Stranded

log = structlog.get_logger("warren.consumer")

DELAYS = "delayed_delivery"
LONGEST_PAUSE = 5.0  # seconds between two attempts to connect; Celery's own grows to 30


class StrictConsumer(Consumer):
    """Rejects each message that is not a valid task message. It becomes a dead letter.

    Stock Celery acknowledges a body that it cannot decode, which loses the message. It also logs
    bodies, which may hold secrets. Web's collector finds out what is wrong with a dead letter.
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
        """Celery's steps but the one that declares 28 queues for countdowns: nobody sends any."""

        default_steps = [step for step in Consumer.Blueprint.default_steps if DELAYS not in step]

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject a body that is not JSON."""
        self._reject(message, exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Reject JSON that is not a task message."""
        self._reject(message, None)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Reject a task that this worker does not have; the backend may publish a failure first."""
        if tell := getattr(self.app.backend, "tell_unknown", None):
            tell(message.headers)
        self._reject(message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Reject a task message with wrong headers or a wrong body."""
        self._reject(message, exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Wrap Celery's handler, which lets some malformed bodies stop the whole worker."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                handle(message)
            except self.connection_errors:
                raise
            except Exception as error:  # noqa: BLE001 -- a forged message may raise any error
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

        Otherwise events would fill the connection's buffers during a memory alarm. The worker would
        block without sending heartbeats, and the broker would take its tasks away.
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
        with warnings.catch_warnings(action="ignore"):  # about a default of Celery 6.0
            super().on_connection_error_after_connected(exc)
        if self._ending:
            self.end()
        self._pauses.take(maybe_shutdown)

    def end(self) -> None:
        """Get ready to stop. Stop at once without a connection: nothing could be acknowledged."""
        self._ending = True
        if not self._consuming:
            state.should_stop = EX_OK  # type: ignore[assignment]  # the stubs know None only

    def take_no_more(self) -> None:
        """Tell the broker to send no more messages."""
        if self._consuming:
            self._consuming = False
            self.task_consumer.cancel()

    def listen(self) -> None:
        """Check that the broker still has this worker as a consumer, and give back stranded tasks.

        Celery swallows the broker's notice that the queue was deleted if it comes as the worker
        begins to consume (``_quick_drain`` in celery/worker/loops.py). It also swallows the end of
        a connection if an acknowledgement meets it first: the socket reports it only once.

        Raises RecoverableConnectionError, which makes the worker connect anew.
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
    # A compressed message of a few megabytes may grow to gigabytes before any check sees it.
    def refuse(_body: bytes) -> bytes:
        raise DecodeError("compressed")

    for content_type in compression.encoders():
        compression.register(refuse, refuse, content_type)
