"""Jobs: computations that users submit, watch and cancel."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registered as ``jobs``."""

    name = "web.jobs"
    label = "jobs"

    def ready(self) -> None:
        """Register the tracking of jobs, and the announcements of the catalogue."""
        from web.jobs import catalogue, results  # noqa: F401 -- register; models are loaded now
