"""``manage.py reconcile``: publish lost tasks again, and send periodic tasks when they are due."""

from runtime.liveness import LivenessFile
from web.messaging.lost.reconciliation import Reconciler
from web.messaging.processes.command import LongRunningCommand
from web.messaging.processes.lifecycle import StopSignal
from web.tasks import periodic


class Command(LongRunningCommand):
    """The reconciler. Periodic tasks do not wait for the broker, because they go to the outbox."""

    help = (
        "Declare missing queues and exchanges, publish lost tasks again, and send periodic tasks "
        "when they are due, until told to stop."
    )
    process = "reconciler"
    beside = staticmethod(periodic.watch)

    def session(self, stop: StopSignal, liveness: LivenessFile) -> None:
        """Reconcile again and again until told to stop."""
        Reconciler(stop, liveness).run()
