"""What a worker tells web of itself, again and again, for as long as it consumes."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from celery import bootsteps, signals
from celery.platforms import EX_OK
from celery.worker import state

from contracts.results import REPORT_SUFFIX, WorkerReport
from contracts.settings import Environment

log = structlog.get_logger("warren.reporting")

AGAIN_IN = 10.0  # seconds until what the broker did not take is told again, at the latest
CHECK_INTERVAL = 60.0  # seconds between two looks at what a worker needs
CHECK_PATIENCE = 3.0  # seconds for which a report waits for a look


def report_interval(env: Environment) -> float:
    """Read how many seconds lie between two reports of a worker; web has to know it, too."""
    return env.seconds("REPORT_INTERVAL", default=5.0, minimum=0.5, maximum=10.0)


def teller(
    routing_key: str, interval: float, describe: Callable[[str], msgspec.Struct]
) -> type[bootsteps.StartStopStep]:
    """Make a step of the consumer that tells web something over the exchange of its results.

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
            """Tell from now on; called for each new connection to the broker."""
            self._stopped = threading.Event()  # a new one: an older thread may still be waiting
            threading.Thread(
                target=_tell,
                args=(consumer, routing_key, interval, describe, self._stopped),
                name=self.name,
                daemon=True,
            ).start()

        def stop(self, consumer: Any) -> None:
            """Tell no more."""
            self._stopped.set()

    return Teller


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
        """Look not yet.

        Args:
            look: returns what is wrong, in words without secrets, or nothing.
            interval: seconds between two looks.
        """
        self._look = look
        self._interval = interval
        self._again_at = 0.0
        self._found = ""
        self._thread: threading.Thread | None = None

    def words(self) -> str:
        """Return what the last look found; a look that takes long is not waited for."""
        if self._thread is None and time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + self._interval
            self._thread = threading.Thread(target=self._find, name="check", daemon=True)
            self._thread.start()
        if thread := self._thread:  # the teller of an earlier connection may still be here, too
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
    """Make the step that reports what a worker holds, how it finds what it needs, and its end.

    ``interval`` is in seconds.
    """
    checks = {name: Check(look) for name, look in looks.items()}
    started_at = datetime.now(UTC)

    def describe(node: str, *, stopped: bool = False) -> WorkerReport:
        return WorkerReport(
            service=service,
            worker=node,
            at=datetime.now(UTC),
            holding=list(state.requests),
            checks={} if stopped else {name: check.words() for name, check in checks.items()},
            started_at=started_at,
            stopped=stopped,
        )

    def tell_of_the_end(sender: Any, **_: Any) -> None:
        if sender.exitcode == EX_OK:  # any other is for web to find out
            last = describe(sender.hostname, stopped=True)
            sender.app.backend.publish_once(msgspec.json.encode(last), last.routing_key)

    signals.worker_shutdown.connect(tell_of_the_end, weak=False)
    return teller(f"{service}{REPORT_SUFFIX}", interval, describe)
