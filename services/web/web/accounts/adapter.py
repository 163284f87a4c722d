"""allauth's door to the world: no mail leaves by it, and it keeps no session."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter


class UnmappedMailError(LookupError):
    """allauth wants to send a mail for which the mailer has no template."""


class OutboxAccountAdapter(DefaultAccountAdapter):
    """Named by the setting ACCOUNT_ADAPTER."""

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send none: accounts' mails are those of ``web.accounts.mails``."""
        raise UnmappedMailError(
            f"allauth's mail {template_prefix!r} is not mapped to a template of the mailer: "
            "send one from web.accounts.mails."
        )

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Show no message: it would begin a session, and the API answers for itself."""
