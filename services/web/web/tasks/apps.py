"""Tasks without a table of their own, and web's Celery application."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Registered as ``tasks``."""

    name = "web.tasks"
    label = "tasks"

    def ready(self) -> None:
        """Find all ``tasks.py``, and take the results of what no other app asks for."""
        from web.tasks import django_backend, results  # noqa: F401 -- its task is for all workers
        from web.tasks.application import app
        from web.tracking import registry

        registry.register_rest(results.tracking)
        app.autodiscover_tasks(force=True)
