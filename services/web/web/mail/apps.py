"""Mail: what web asked the mailer to send, and what became of it."""

from django.apps import AppConfig


class MailConfig(AppConfig):
    """Registered as ``mail``."""

    name = "web.mail"
    label = "mail"

    def ready(self) -> None:
        """Ask for the results of the task that sends mails."""
        from web.mail import results  # noqa: F401 -- registers; models are loaded now
