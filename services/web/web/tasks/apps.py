"""Tasks without a table of their own."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Registered as ``tasks``."""

    name = "web.tasks"
    label = "tasks"

    def ready(self) -> None:
        """Ask for the results of all tasks that no other app asks for."""
        from web.tasks import results
        from web.tracking import registry

        registry.register_rest(results.tracking)
