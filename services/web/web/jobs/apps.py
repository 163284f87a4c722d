"""Jobs: computations that users submit, watch and cancel."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registered as ``jobs``."""

    name = "web.jobs"
    label = "jobs"

    def ready(self) -> None:
        """Ask for the results of computations, and for the catalogue of those there are."""
        from web.jobs import catalogue, results  # noqa: F401 -- register; models are loaded now
