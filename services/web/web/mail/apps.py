"""Mail: the mails that web asked the mailer to send, and their outcomes."""

from django.apps import AppConfig


class MailConfig(AppConfig):
    """Registered as ``mail``."""

    name = "web.mail"
    label = "mail"

    def ready(self) -> None:
        """Register the tracking of mails."""
        from web.mail import results  # noqa: F401 -- registers; models are loaded now
