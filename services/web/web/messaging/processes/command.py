"""The commands that run until they are told to stop."""

from typing import Any

from django.core.management.base import BaseCommand

from runtime.liveness import LivenessFile
from web.messaging.processes.lifecycle import StopSignal
from web.messaging.processes.lives import live


class LongRunningCommand(BaseCommand):
    """Runs until SIGTERM, through outages of broker and database. Several may run side by side.

    A subclass names its ``process``. Its ``session`` works for as long as broker and database are
    there; ``beside``, if given, runs in a thread of its own.
    """

    process: str
    requires_system_checks: list[str] = []  # `migrate` did; they would load all that web needs

    def session(self, stop: StopSignal, liveness: LivenessFile) -> None:
        """Work until told to stop; touch ``liveness`` with each round."""
        raise NotImplementedError

    beside: Any = None

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        live(self.process, self.session, self.beside)
