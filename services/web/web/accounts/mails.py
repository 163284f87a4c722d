"""Mails about an account."""

from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from contracts.mails import AccountExists, RegisterAgain, VerifyEmail, Welcome
from web.accounts import limits
from web.accounts.keys import key_of
from web.accounts.models import Registration, User
from web.mail import sending
from web.mail.models import Email


def may_be_sent(email: str, network: str) -> bool:
    """Count a mail that somebody unknown asks for; False if a limit is reached.

    One limit counts by address and client together, so that nobody uses up the owner's share. A far
    higher one counts by address alone, against requests from many networks.

    Args:
        email: the address in its one spelling.
        network: of the client.
    """
    together = f"{email} {network}"
    return all(
        limits.consume(scope, who, rate).allowed
        for scope, who, rate in (
            ("account_mail", together, settings.VERIFICATION_MAIL_RATE),
            ("account_mail_daily", together, settings.VERIFICATION_MAIL_DAILY_RATE),
            ("account_mail_address", email, settings.VERIFICATION_MAIL_ADDRESS_RATE),
        )
    )


def send_verification(registration: Registration) -> None:
    """Send the link that verifies the address of a registration, and makes its account."""
    key = key_of(registration)
    page = f"{settings.PUBLIC_URL}{reverse('verification-page')}"
    mail = VerifyEmail(
        verification_url=f"{page}?{urlencode({'key': key})}",
        verification_key=key,
        expires_in_days=Registration.VALID_FOR.days,
    )
    sending.queue(mail, registration.email)


def send_account_exists(user: User) -> None:
    """Tell somebody who registers again that there is an account."""
    sending.queue(AccountExists(login_url=_sign_in_page()), user.email, user=user)


def send_register_again(email: str) -> None:
    """Answer a request for a new link if the address has no or several registrations."""
    sending.queue(RegisterAgain(login_url=_sign_in_page()), email)


def send_welcome(user: User) -> None:
    """Welcome somebody whose address has just been verified."""
    sending.queue(Welcome(login_url=_sign_in_page()), user.email, user=user)


def hand_over(user: User) -> None:
    """Give a user the mails that went to the address before it was verified."""
    Email.objects.filter(user=None, recipient=user.email).update(user=user)


def _sign_in_page() -> str:
    return f"{settings.PUBLIC_URL}{reverse('docs')}"
