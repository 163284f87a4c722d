"""The ledger forgets mails of long ago: no request for one of them can still come."""

import threading
from datetime import timedelta

import psycopg
import structlog

from mailer.ledger import Ledger

log = structlog.get_logger("mailer.pruning")
EVERY = 3600.0  # seconds between two looks


class Pruning:
    """Deletes in a thread of its own, now and then, until told to stop."""

    def __init__(self, ledger: Ledger, days: int, every: float = EVERY) -> None:
        """Begin not yet; ``days`` is how long a mail is remembered, 0 for ever."""
        self._ledger, self._age, self._every = ledger, timedelta(days=days), every
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin."""
        if self._age:
            threading.Thread(target=self._run, daemon=True, name="pruning").start()

    def stop(self) -> None:
        """Delete no more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                while not self._stopped.is_set() and (count := self._ledger.prune(self._age)):
                    log.info("ledger pruned", mails=count)
            except psycopg.Error as error:  # the next look may do better
                log.warning("ledger not pruned", reason=type(error).__name__)
