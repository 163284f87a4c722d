"""allauth's adapter, which sends no mail and begins no session."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter


class UnmappedMailError(LookupError):
    """allauth wants to send a mail for which the mailer has no template."""


class OutboxAccountAdapter(DefaultAccountAdapter):
    """The adapter that the setting ACCOUNT_ADAPTER names."""

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Raise UnmappedMailError: mails of accounts are sent by ``web.accounts.mails``."""
        raise UnmappedMailError(
            f"allauth's mail {template_prefix!r} is not mapped to a template of the mailer: "
            "send one from web.accounts.mails."
        )

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: a message would begin a session, and the API gives answers of its own."""
