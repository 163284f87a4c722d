"""``manage.py work``: run web's own tasks."""

from typing import Any

from django.core.management.base import BaseCommand

from contracts import worker
from contracts.settings import Environment
from web.tasks import forking
from web.tasks.application import app


class Command(BaseCommand):
    """Runs until SIGTERM; several may run side by side."""

    help = "Run web's own tasks until told to stop. Several may run side by side."
    requires_system_checks: list[str] = []  # one may ask the database, before the fork

    def handle(self, *args: Any, **options: Any) -> None:
        """Work."""
        env = Environment()
        env.secret("DJANGO_SECRET_KEY", example="50 or more random characters")
        env.check()  # what a task signed with a key of its own would be void in web
        forking.forget_in_children()
        app.is_worker = True
        worker.run(app, pool="prefork")
