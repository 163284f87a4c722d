"""The lives of processes: they show a process that fails and is restarted again and again."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import Error, connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from runtime.liveness import INTERVAL, LivenessFile
from runtime.text import describe
from web.messaging.models import ProcessLife
from web.messaging.processes.lifecycle import StopSignal, keep_running

SEEN = timedelta(seconds=30)  # a process that was not seen for so long counts as dead
FORGOTTEN_AFTER = timedelta(days=1)
LAST_WORDS = 5.0  # seconds for which a process waits for its companion to end
Life = tuple[str, str, datetime]  # the process, its node, and when it began
UPSERT = """
    INSERT INTO messaging_processlife (process, node, began, error)
    SELECT process, node, began, %(error)s
    FROM unnest(%(process)s::text[], %(node)s::text[], %(began)s::timestamptz[])
        AS seen (process, node, began)
    ORDER BY process, node, began
    ON CONFLICT (process, node, began) DO UPDATE SET
        seen_at = statement_timestamp(), error = excluded.error
"""


class Heartbeat(LivenessFile):
    """A liveness file that also records the life of its process in the database."""

    def __init__(self, process: str) -> None:
        super().__init__(settings.LIVENESS_FILE)
        self._life = (process, f"{os.getpid()}@{socket.gethostname()}", datetime.now(UTC))
        self._tell_next = 0.0

    def touch(self) -> None:
        """Note that the process is alive. Raises one of DATABASE_ERRORS."""
        super().touch()
        if time.monotonic() >= self._tell_next:
            record([self._life])
            self._tell_next = time.monotonic() + INTERVAL

    def remove(self) -> None:
        """Remove the file and the recorded life: the process has ended as it was told to."""
        super().remove()
        forget([self._life])

    def die(self, error: Exception) -> None:
        """Record the error that has ended the process."""
        record([self._life], error=f"{type(error).__name__}: {describe(error)}")


class Companion:
    """Runs a session in a thread beside a process's own work, until told to stop."""

    def __init__(self, session: Callable[[StopSignal], None], stop: StopSignal) -> None:
        self._session, self._stop = session, stop
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="companion")
        self._thread.start()

    def end(self) -> None:
        """Wait a few seconds for the thread's end. Raises the error that it failed with."""
        self._thread.join(LAST_WORDS)
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            keep_running(partial(self._session, self._stop), self._stop)
        except Exception as error:  # noqa: BLE001 -- raised by end() in the main thread
            self._error = error
            self._stop.set()
        finally:
            connection.close()


def live(
    process: str,
    session: Callable[[StopSignal, LivenessFile], None],
    beside: Callable[[StopSignal], None] | None = None,
) -> None:
    """Run one of web's processes until told to stop, through outages, and record its life.

    ``beside`` runs in a thread of its own; if it fails, the process ends too.
    """
    stop, heartbeat = StopSignal().listen(), Heartbeat(process)
    companion = Companion(beside, stop) if beside else None
    try:
        keep_running(partial(session, stop, heartbeat), stop)
        if companion:
            companion.end()
    except Exception as error:
        _try(partial(heartbeat.die, error))
        raise
    _try(heartbeat.remove)


def record(lives: Iterable[Life], *, error: str = "") -> None:
    """Note that processes live, or have ended with ``error``."""
    columns = [list(column) for column in zip(*sorted(set(lives)), strict=True)]
    if columns:
        names = ("process", "node", "began")
        with connection.cursor() as cursor:
            cursor.execute(UPSERT, dict(zip(names, columns, strict=True)) | {"error": error})
        ProcessLife.objects.filter(seen_at__lt=Now() - FORGOTTEN_AFTER).delete()


def forget(lives: Iterable[Life]) -> None:
    """Drop the lives of processes that have ended as they were told to."""
    for process, node, began in lives:
        ProcessLife.objects.filter(process=process, node=node, began=began).delete()


def alive(process: str) -> QuerySet[ProcessLife]:
    """Select the lives without an error that were seen within the last ``SEEN``."""
    return ProcessLife.objects.filter(process=process, error="", seen_at__gte=Now() - SEEN)


def ended(process: str, within: timedelta) -> QuerySet[ProcessLife]:
    """Select the lives that ended with an error, or without a word, and were seen ``within``.

    The latest come first.
    """
    over = ~Q(error="") | Q(seen_at__lt=Now() - SEEN)
    lives = ProcessLife.objects.filter(over, process=process, seen_at__gte=Now() - within)
    return lives.order_by("-seen_at")


def _try(tell: Callable[[], None]) -> None:
    try:
        tell()
    except Error:  # the database is away: nothing can be recorded
        connection.close()
