"""``manage.py reconcile``: find what got lost with the broker, and publish it again."""

from typing import Any

from django.core.management.base import BaseCommand

from web.messaging.lives import live
from web.messaging.reconciliation import Reconciler


class Command(BaseCommand):
    """Runs until SIGTERM; several may run side by side."""

    help = "Declare what is missing and publish again what got lost until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        live("reconciler", lambda stop, liveness: Reconciler(stop, liveness).run())
