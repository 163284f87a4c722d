"""Who has lived and died: what a process that starts again and again would otherwise hide."""

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

from contracts.liveness import INTERVAL, LivenessFile
from web.messaging import dead_letters
from web.messaging.lifecycle import StopSignal, keep_running
from web.messaging.models import ProcessLife

SEEN = timedelta(seconds=30)  # a process that has not been seen for so long does not get on
FORGOTTEN_AFTER = timedelta(days=1)
LAST_WORDS = 5.0  # seconds for what runs beside a process
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
    """Touched with each round of a process of web's, it also tells the database of its life."""

    def __init__(self, process: str) -> None:
        super().__init__(settings.LIVENESS_FILE)
        self._life = (process, f"{os.getpid()}@{socket.gethostname()}", datetime.now(UTC))
        self._tell_next = 0.0

    def touch(self) -> None:
        """Say that the process gets on. Raises one of DATABASE_ERRORS."""
        super().touch()
        if time.monotonic() >= self._tell_next:
            record([self._life])
            self._tell_next = time.monotonic() + INTERVAL

    def remove(self) -> None:
        """Say that the process has ended as it was told to, and so needs no mention."""
        super().remove()
        forget([self._life])

    def die(self, error: Exception) -> None:
        """Say what the process has ended with."""
        record([self._life], error=f"{type(error).__name__}: {dead_letters.words(error)}")


class Companion:
    """Runs beside a process's own work until that is told to stop, through outages."""

    def __init__(self, session: Callable[[StopSignal], None], stop: StopSignal) -> None:
        self._session, self._stop = session, stop
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="companion")
        self._thread.start()

    def end(self) -> None:
        """Wait a moment for its end. Raises what it has failed with."""
        self._thread.join(LAST_WORDS)
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            keep_running(partial(self._session, self._stop), self._stop)
        except Exception as error:  # noqa: BLE001 -- told by the process's own thread
            self._error = error
            self._stop.set()
        finally:
            connection.close()


def live(
    process: str,
    session: Callable[[StopSignal, LivenessFile], None],
    beside: Callable[[StopSignal], None] | None = None,
) -> None:
    """Run a process of web's until it is told to stop, through outages, and record its life.

    What runs ``beside``, in a thread of its own, ends the process too if it fails.
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
    """Select the lives of which a sign was seen of late."""
    return ProcessLife.objects.filter(process=process, error="", seen_at__gte=Now() - SEEN)


def ended(process: str, within: timedelta) -> QuerySet[ProcessLife]:
    """Select the lives that have ended lately, other than as they were told to; latest first."""
    over = ~Q(error="") | Q(seen_at__lt=Now() - SEEN)
    lives = ProcessLife.objects.filter(over, process=process, seen_at__gte=Now() - within)
    return lives.order_by("-seen_at")


def _try(tell: Callable[[], None]) -> None:
    try:
        tell()
    except Error:  # the database is away: then there are other signs
        connection.close()
