"""Mails about an account, each kind at most so often per address."""

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.http import HttpRequest

from web.accounts import limits
from web.accounts.adapter import sign_in_context
from web.accounts.models import User
from web.mail import sending
from web.rates import Rate

ACCOUNT_EXISTS = Rate(1, seconds=3600)


def send_verification(request: HttpRequest, address: EmailAddress, *, signup: bool = False) -> None:
    """Send a link that verifies the address, unless it has got enough of them lately.

    Those that it has got still hold.
    """
    for scope, rate in (
        ("verification_mail", settings.VERIFICATION_MAIL_RATE),
        ("verification_mail_daily", settings.VERIFICATION_MAIL_DAILY_RATE),
    ):
        if not limits.consume(scope, address.email, rate).allowed:
            return
    address.send_confirmation(request, signup=signup)


def send_account_exists(request: HttpRequest, user: User) -> None:
    """Tell somebody who registers again that there is an account, at most once an hour."""
    if limits.consume("account_exists_mail", user.email, ACCOUNT_EXISTS).allowed:
        adapter = get_adapter(request)
        adapter.send_mail("account/email/account_already_exists", user.email, {"user": user})


def send_welcome(user: User, recipient: str) -> None:
    """Welcome somebody whose address has just been verified."""
    sending.queue("welcome", recipient, sign_in_context(), user=user)
