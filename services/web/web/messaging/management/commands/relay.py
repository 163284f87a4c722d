"""``manage.py relay``: publish the outbox to RabbitMQ."""

from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from contracts.liveness import LivenessFile
from web.messaging.lifecycle import StopSignal, keep_running
from web.messaging.relay import relay


class Command(BaseCommand):
    """Runs until SIGTERM; several may run side by side."""

    help = "Publish the outbox to RabbitMQ until told to stop. Several may run side by side."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        stop = StopSignal().listen()
        liveness = LivenessFile(settings.LIVENESS_FILE)
        keep_running(partial(relay, stop, liveness), stop)
        liveness.remove()
