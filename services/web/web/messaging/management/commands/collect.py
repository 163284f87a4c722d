"""``manage.py collect``: bring results and dead letters into the database."""

from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from contracts.liveness import LivenessFile
from web.messaging.collector import collect
from web.messaging.lifecycle import StopSignal, keep_running


class Command(BaseCommand):
    """Runs until SIGTERM; several may run side by side."""

    help = "Bring results and dead letters into the database until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        stop = StopSignal().listen()
        liveness = LivenessFile(settings.LIVENESS_FILE)
        keep_running(partial(collect, stop, liveness), stop)
        liveness.remove()
