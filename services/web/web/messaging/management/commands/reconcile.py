"""``manage.py reconcile``: find what got lost with the broker, and publish it again."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from contracts.liveness import LivenessFile
from web.messaging.lifecycle import StopSignal, keep_running
from web.messaging.reconciliation import Reconciler


class Command(BaseCommand):
    """Runs until SIGTERM; several may run side by side."""

    help = "Declare what is missing and publish again what got lost until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        stop = StopSignal().listen()
        liveness = LivenessFile(settings.LIVENESS_FILE)
        keep_running(Reconciler(stop, liveness).run, stop)
        liveness.remove()
