"""``manage.py work``: run web's own tasks."""

from typing import Any

from django.core.management.base import BaseCommand

from runtime.environment import Environment
from web.tasks import forking
from web.tasks.application import app
from worker import main


class Command(BaseCommand):
    """Runs until SIGTERM; several may run side by side."""

    help = "Run web's own tasks until told to stop. Several may run side by side."
    requires_system_checks: list[str] = []  # one may query the database before the fork

    def handle(self, *args: Any, **options: Any) -> None:
        """Work."""
        env = Environment()
        env.secret("DJANGO_SECRET_KEY", example="50 or more random characters")
        env.check()  # web would not accept what a task has signed with another key
        forking.forget_in_children()
        app.is_worker = True
        main.run(app)
