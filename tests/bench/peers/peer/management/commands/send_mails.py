"""Puts mails into the queue of Celery's peer."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from peer.systems.celery import mail


class Command(BaseCommand):
    """Sends one task for each mail."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take their number."""
        parser.add_argument("count", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        """Send the tasks."""
        for number in range(options["count"]):
            mail.delay(number)
