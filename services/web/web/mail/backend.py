"""A backend that closes Django's own way to send mail."""

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class DirectMailError(RuntimeError):
    """Code tried to send a mail from the web process instead of through the outbox."""


class OutboxOnlyBackend(BaseEmailBackend):
    """Refuses every mail. A request would have to wait for SMTP, and a failure lose the mail."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Raise DirectMailError."""
        raise DirectMailError("Mails leave through web.mail.sending.queue(), never directly.")
