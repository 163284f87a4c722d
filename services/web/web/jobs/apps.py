"""Jobs: computations that users submit, watch and cancel."""

from django.apps import AppConfig

from contracts.tasks import RUN_COMPUTATION
from web.messaging import handlers


class JobsConfig(AppConfig):
    """Registered as ``jobs``."""

    name = "web.jobs"
    label = "jobs"

    def ready(self) -> None:
        """Ask for the results of the task that runs computations."""
        from web.jobs import results  # the models are loaded only now

        handlers.register(RUN_COMPUTATION.name, results)
