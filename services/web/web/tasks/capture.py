"""Capturing a message where Celery would publish it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Exchange
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps

from contracts import topology
from contracts.tasks import TASKS
from web.tasks.messages import StoredMessage

# Any other property that Celery or a caller sets is dropped. By ``expiration``, for instance, the
# broker would drop the task without an answer.
PROPERTIES = ("correlation_id", "priority")
# A retry copies all headers of its delivery, also those of the relay and of the broker.
OF_DELIVERY = ("outbox_id", "refusals", "runs")
FOLLOWING = ("chain", "chord", "callbacks", "errbacks")  # options of a task that others follow
LONGEST_KEY = 255  # bytes, of a routing key
MOST_KIB = 4096  # of a body; RabbitMQ takes up to 16 MiB


class RefusedError(ValueError):
    """A call asks for something that Warren's tasks do not have; see docs/coming-from-celery.md."""


class Capture:
    """Stands in for kombu's producer, and for the dispatcher of Celery's events.

    Celery still does all of its own work: routes, options, parents, signals, the message itself.
    """

    serializer = "json"  # Celery asks for it when it runs tasks eagerly

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self.is_followed = False  # whether other tasks wait for this one
        self._sent_event: dict[str, Any] | None = None

    @property
    def connection(self) -> "Capture":
        """Stand in for the producer's connection too."""
        return self

    @contextmanager
    def _reraise_as_library_errors(self) -> Iterator[None]:
        yield

    def publish(self, first: Any, *rest: Any, **options: Any) -> None:
        """Capture a message, or the event that tells Flower of it."""
        if first == "task-sent":
            self._sent_event = rest[0]
        else:
            self._take(first, **options)

    def _take(
        self,
        body: Any,
        *,
        exchange: Any,
        routing_key: str,
        serializer: str,
        compression: str | None,
        headers: dict[str, Any],
        **properties: Any,
    ) -> None:
        name = exchange.name if isinstance(exchange, Exchange) else exchange
        if name != topology.TASKS.name or routing_key != routing_key_of(headers["task"]):
            place = f"{name!r}, {routing_key!r}"
            raise RefusedError(f"exchange and routing key are Warren's to choose, and not {place}")
        if len(routing_key.encode()) > LONGEST_KEY:
            raise RefusedError(f"the task's name is longer than RabbitMQ takes: {routing_key!r}")
        if serializer != "json":
            raise RefusedError(f"serializer={serializer!r}: workers take JSON only")
        if compression:
            raise RefusedError(f"compression={compression!r}: workers take none")
        self.is_followed = any(body[2].get(each) for each in FOLLOWING)
        self._message = {
            "routing_key": routing_key,
            "headers": {
                key: value
                for key, value in headers.items()
                if key not in OF_DELIVERY and not key.startswith("x-")
            },
            "properties": {key: properties[key] for key in PROPERTIES if properties.get(key)},
            "body": _body(body),
        }

    def message(self) -> StoredMessage:
        """Return the captured message."""
        return StoredMessage(**self._message, sent_event=self._sent_event)


def routing_key_of(task: str) -> str:
    """Return the routing key with which a task is published."""
    return task if task in TASKS else f"{topology.WEB_TASKS}.{task}"


def encoded(value: Any) -> str:
    """Encode as Celery does, with its types beyond JSON, but without NaN and infinities.

    Raises kombu's EncodeError.
    """
    try:
        text: str = dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(str(error)) from error
    return text


def _body(body: Any) -> str:
    text = encoded(body)
    if len(text) > MOST_KIB * 1024:
        raise RefusedError(
            f"the arguments are larger than {MOST_KIB} KiB: store them, and hand over the key"
        )
    return text
