"""Tells web what this worker can compute: when it is ready, after a reconnect, and now and then."""

import threading
from typing import Any

import msgspec
import structlog
from amqp.exceptions import AMQPError
from celery import bootsteps

from compute.catalogue import Catalogue
from contracts.results import CATALOGUE_ROUTING_KEY

log = structlog.get_logger("warren.announcing")


def announcer(catalogue: Catalogue, interval: float) -> type[bootsteps.StartStopStep]:
    """Make the consumer's step that announces ``catalogue`` every ``interval`` seconds."""

    class Announcer(bootsteps.StartStopStep):
        """Runs while the worker consumes; in a thread, since a publish may have to wait."""

        requires = ("celery.worker.consumer:Tasks",)

        def __init__(self, consumer: Any, **_: Any) -> None:
            self._stopped = threading.Event()

        def start(self, consumer: Any) -> None:
            """Announce from now on; called for each new connection to the broker."""
            self._stopped = threading.Event()  # a new one: an older thread may still be waiting
            threading.Thread(
                target=_announce,
                args=(consumer, catalogue, interval, self._stopped),
                name="announcer",
                daemon=True,
            ).start()

        def stop(self, consumer: Any) -> None:
            """Announce no more."""
            self._stopped.set()

    return Announcer


def _announce(
    consumer: Any, catalogue: Catalogue, interval: float, stopped: threading.Event
) -> None:
    while not stopped.is_set():
        body = msgspec.json.encode(catalogue.announcement(consumer.hostname))
        try:
            consumer.app.backend.publish(body, CATALOGUE_ROUTING_KEY)
        except AMQPError as error:  # refused: that may be put right until the next time
            log.error("catalogue not announced", reason=str(error))
        else:
            log.info("catalogue announced", bytes=len(body))
        stopped.wait(interval)
