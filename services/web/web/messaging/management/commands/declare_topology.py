"""``manage.py declare_topology``: create Warren's exchanges and queues."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from contracts import topology
from contracts.errors import TopologyError
from web.messaging.broker.client import app
from web.messaging.processes.lifecycle import BROKER_ERRORS

REFUSALS: tuple[type[Exception], ...] = (TopologyError, *BROKER_ERRORS)


class Command(BaseCommand):
    """Idempotent; a step of every deployment."""

    help = "Create the exchanges and queues that are missing; refuse if one exists that differs."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        try:
            with app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=5, interval_start=1)
                topology.declare(connection)
        except REFUSALS as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"topology {topology.fingerprint()} is declared")
