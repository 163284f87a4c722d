"""``manage.py reconcile``: publish again what got lost, and begin periodic work in time."""

from typing import Any

from django.core.management.base import BaseCommand

from web.messaging.lives import live
from web.messaging.reconciliation import Reconciler
from web.tasks import periodic


class Command(BaseCommand):
    """Runs until SIGTERM; several may run side by side."""

    help = (
        "Declare what is missing, publish again what got lost, and begin periodic work in time, "
        "until told to stop."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run. Periodic work does not wait for the broker: the outbox takes it."""
        live(
            "reconciler",
            lambda stop, liveness: Reconciler(stop, liveness).run(),
            beside=periodic.watch,
        )
