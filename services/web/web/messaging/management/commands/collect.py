"""``manage.py collect``: bring results and dead letters into the database."""

from typing import Any

from django.core.management.base import BaseCommand

from web.messaging.collector import collect
from web.messaging.lives import live


class Command(BaseCommand):
    """Runs until SIGTERM; several may run side by side."""

    help = "Bring results and dead letters into the database until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        live("collector", collect)
