"""Tasks without a table of their own, and web's Celery application."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Registered as ``tasks``."""

    name = "web.tasks"
    label = "tasks"

    def ready(self) -> None:
        """Import all ``tasks.py``, and track the contracts' tasks that no other app tracks."""
        from web.tasks import django_backend, results  # noqa: F401 -- registers a task
        from web.tasks.application import app
        from web.tracking import registry

        registry.register_rest(results.tracking)
        app.autodiscover_tasks(force=True)
