"""allauth's door to the world: its mails leave through the outbox, and it keeps no session."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailConfirmationHMAC
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from web.mail import sending


class UnmappedMailError(LookupError):
    """allauth wants to send a mail for which the mailer has no template."""


def verification_context(context: Mapping[str, Any]) -> dict[str, str]:
    """Return what the mailer's template ``verify_email`` needs."""
    return {
        "verification_url": context["activate_url"],
        "verification_key": context["key"],
        "expires_in_days": str(app_settings.EMAIL_CONFIRMATION_EXPIRE_DAYS),
    }


def sign_in_context(_context: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return what the mailer's templates ``account_exists`` and ``welcome`` need."""
    return {"login_url": f"{settings.PUBLIC_URL}{reverse('docs')}"}


MAILS: dict[str, tuple[str, Callable[[Mapping[str, Any]], dict[str, str]]]] = {
    "account/email/email_confirmation": ("verify_email", verification_context),
    "account/email/email_confirmation_signup": ("verify_email", verification_context),
    "account/email/account_already_exists": ("account_exists", sign_in_context),
}


class OutboxAccountAdapter(DefaultAccountAdapter):
    """Named by the setting ACCOUNT_ADAPTER."""

    def clean_email(self, email: str) -> str:
        """Addresses are the same in any case."""
        return super().clean_email(email).lower()

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Store a mail within the caller's transaction. Raises UnmappedMailError."""
        if template_prefix not in MAILS:
            raise UnmappedMailError(
                f"allauth's mail {template_prefix!r} is not mapped to a template of the mailer: "
                "add it to web.accounts.adapter.MAILS."
            )
        template, select = MAILS[template_prefix]
        sending.queue(template, email, select(context), user=context.get("user"))

    def get_email_confirmation_url(
        self, request: HttpRequest | None, emailconfirmation: EmailConfirmationHMAC
    ) -> str:
        """Link to the page that verifies an address."""
        query = urlencode({"key": emailconfirmation.key})
        return f"{settings.PUBLIC_URL}{reverse('verification-page')}?{query}"

    def unstash_verified_email(self, request: HttpRequest) -> None:
        """Have no address verified before registration: to look for one would begin a session."""

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        """Have none here either."""
        return False

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Show no message: it would begin a session, and the API answers for itself."""
