"""Mails about an account."""

from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from web.accounts import limits
from web.accounts.keys import key_of
from web.accounts.models import Registration, User
from web.mail import sending
from web.mail.models import Email


def may_be_sent(email: str) -> bool:
    """Count a mail that somebody unknown asks for; False if its address has got enough lately."""
    return all(
        limits.consume(scope, email, rate).allowed
        for scope, rate in (
            ("account_mail", settings.VERIFICATION_MAIL_RATE),
            ("account_mail_daily", settings.VERIFICATION_MAIL_DAILY_RATE),
        )
    )


def send_verification(registration: Registration) -> None:
    """Send the link that verifies the address of a registration, and makes its account."""
    key = key_of(registration)
    page = f"{settings.PUBLIC_URL}{reverse('verification-page')}"
    context = {
        "verification_url": f"{page}?{urlencode({'key': key})}",
        "verification_key": key,
        "expires_in_days": str(Registration.VALID_FOR.days),
    }
    sending.queue("verify_email", registration.email, context)


def send_account_exists(user: User) -> None:
    """Tell somebody who registers again that there is an account."""
    sending.queue("account_exists", user.email, _sign_in_context(), user=user)


def send_register_again(email: str) -> None:
    """Tell somebody who asks for a new link that there is no registration which it could be for."""
    sending.queue("register_again", email, _sign_in_context())


def send_welcome(user: User) -> None:
    """Welcome somebody whose address has just been verified."""
    sending.queue("welcome", user.email, _sign_in_context(), user=user)


def hand_over(user: User) -> None:
    """Let somebody who has proved to own an address see the mails that went to it before."""
    Email.objects.filter(user=None, recipient=user.email).update(user=user)


def _sign_in_context() -> dict[str, str]:
    return {"login_url": f"{settings.PUBLIC_URL}{reverse('docs')}"}
