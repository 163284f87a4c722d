"""``manage.py relay``: publish the outbox to RabbitMQ."""

from typing import Any

from django.core.management.base import BaseCommand

from web.messaging.lives import live
from web.messaging.relay import relay


class Command(BaseCommand):
    """Runs until SIGTERM; several may run side by side."""

    help = "Publish the outbox to RabbitMQ until told to stop. Several may run side by side."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        live("relay", relay)
