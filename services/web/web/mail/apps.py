"""Mail: what web asked the mailer to send, and what became of it."""

from django.apps import AppConfig

from contracts.tasks import SEND_EMAIL
from web.messaging import handlers


class MailConfig(AppConfig):
    """Registered as ``mail``."""

    name = "web.mail"
    label = "mail"

    def ready(self) -> None:
        """Ask for the results of the task that sends mails."""
        from web.mail import results  # the models are loaded only now

        handlers.register(SEND_EMAIL.name, results)
