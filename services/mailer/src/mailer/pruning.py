"""Deletes mails of long ago from the ledger, which refuses requests that are as old."""

import threading

import psycopg
import structlog

from mailer.ledger import Ledger

log = structlog.get_logger("mailer.pruning")
EVERY = 3600.0  # seconds between two looks


class Pruning:
    """Deletes old mails regularly, in a thread of its own, until told to stop."""

    def __init__(self, ledger: Ledger, every: float = EVERY) -> None:
        """Wait for ``start``. ``every`` is the time between two looks, in seconds."""
        self._ledger, self._every = ledger, every
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, unless mails are kept for ever."""
        if self._ledger.memory:
            threading.Thread(target=self._run, daemon=True, name="pruning").start()

    def stop(self) -> None:
        """Delete no more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                while not self._stopped.is_set() and (count := self._ledger.prune()):
                    log.info("ledger pruned", mails=count)
            except psycopg.Error as error:  # tried again at the next look
                log.warning("ledger not pruned", reason=type(error).__name__)
