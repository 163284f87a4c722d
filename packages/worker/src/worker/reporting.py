"""A worker's regular messages to web about itself, for as long as it consumes."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import msgspec
import structlog
from celery import bootsteps, signals
from celery.platforms import EX_OK
from celery.worker import state

from contracts.events import REPORT_SUFFIX, WorkerReport

log = structlog.get_logger("warren.reporting")

AGAIN_IN = 10.0  # seconds until a message that the broker did not take is sent anew, at most
CHECK_INTERVAL = 60.0  # seconds between two looks at a thing that the worker needs
CHECK_PATIENCE = 3.0  # seconds for which a report waits for a look


def teller(
    routing_key: str, interval: float, describe: Callable[[str], msgspec.Struct]
) -> type[bootsteps.StartStopStep]:
    """Make a step of the consumer that sends web a message regularly, over the results' exchange.

    Args:
        routing_key: also names the step.
        interval: seconds between two messages; the first one goes out as consuming begins.
        describe: makes the message; it is given the node's name.
    """

    class Teller(bootsteps.StartStopStep):
        """Works in a thread, since a publish may have to wait."""

        name = f"teller of {routing_key}"
        requires = ("celery.worker.consumer:Tasks",)

        def __init__(self, consumer: Any, **_: Any) -> None:
            self._stopped = threading.Event()

        def start(self, consumer: Any) -> None:
            """Send from now on; called for each new connection to the broker."""
            self._stopped = threading.Event()  # a new one: an older thread may still be waiting
            threading.Thread(
                target=_tell,
                args=(consumer, routing_key, interval, describe, self._stopped),
                name=self.name,
                daemon=True,
            ).start()

        def stop(self, consumer: Any) -> None:
            """Send no more."""
            self._stopped.set()

    return Teller


def _held() -> list[str]:
    requests: Any = list(state.requests.values())  # the stubs know Celery's own class only
    return list(chain.from_iterable(request.held_ids for request in requests))


def _tell(
    consumer: Any,
    routing_key: str,
    interval: float,
    describe: Callable[[str], msgspec.Struct],
    stopped: threading.Event,
) -> None:
    wait = 0.0
    while not stopped.wait(wait):
        body = msgspec.json.encode(describe(consumer.hostname))
        wait = min(interval, AGAIN_IN)
        if consumer.app.backend.publish_once(body, routing_key):
            log.debug("told", routing_key=routing_key, bytes=len(body))
            wait = interval


class Check:
    """Looks now and then whether something that a worker needs is there."""

    def __init__(self, look: Callable[[], str], interval: float = CHECK_INTERVAL) -> None:
        """Prepare for the first look, which ``words`` begins.

        Args:
            look: returns what is wrong, in words without secrets, or an empty text.
            interval: seconds between two looks.
        """
        self._look = look
        self._interval = interval
        self._again_at = 0.0
        self._found = ""
        self._thread: threading.Thread | None = None

    def words(self) -> str:
        """Return what the last look found. Waits CHECK_PATIENCE seconds for one that is running."""
        if self._thread is None and time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + self._interval
            self._thread = threading.Thread(target=self._find, name="check", daemon=True)
            self._thread.start()
        if thread := self._thread:  # an earlier connection's teller may reset it at the same time
            thread.join(CHECK_PATIENCE)
            if thread.is_alive():
                return "it has not answered yet"
            self._thread = None
        return self._found

    def _find(self) -> None:
        self._found = "the look itself failed; the worker's log tells why"
        self._found = self._look()


def reporter(
    service: str, interval: float, looks: Mapping[str, Callable[[], str]]
) -> type[bootsteps.StartStopStep]:
    """Make the step that sends a worker's reports: the tasks it holds, its checks, and its end.

    ``interval`` is in seconds. ``looks`` are functions as for ``Check``, by name.
    """
    checks = {name: Check(look) for name, look in looks.items()}
    started_at = datetime.now(UTC)

    def describe(node: str, *, stopped: bool = False) -> WorkerReport:
        return WorkerReport(
            service=service,
            worker=node,
            at=datetime.now(UTC),
            holding=_held(),
            checks={} if stopped else {name: check.words() for name, check in checks.items()},
            started_at=started_at,
            stopped=stopped,
        )

    def tell_of_the_end(sender: Any, **_: Any) -> None:
        if sender.exitcode == EX_OK:  # otherwise web has to notice the end
            last = describe(sender.hostname, stopped=True)
            sender.app.backend.publish_once(msgspec.json.encode(last), last.routing_key)

    signals.worker_shutdown.connect(tell_of_the_end, weak=False)
    return teller(f"{service}{REPORT_SUFFIX}", interval, describe)
