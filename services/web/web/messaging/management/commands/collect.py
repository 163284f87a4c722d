"""``manage.py collect``: bring results and dead letters into the database."""

from runtime.liveness import LivenessFile
from web.messaging.inbox import collector
from web.messaging.processes.command import LongRunningCommand
from web.messaging.processes.lifecycle import StopSignal


class Command(LongRunningCommand):
    """The collector."""

    help = "Bring results and dead letters into the database until told to stop."
    process = "collector"

    def session(self, stop: StopSignal, liveness: LivenessFile) -> None:
        """Collect."""
        collector.collect(stop, liveness)
