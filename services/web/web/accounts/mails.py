"""Mails about an account."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from contracts.mails import (
    AccountExists,
    NoAccount,
    PasswordChanged,
    PasswordReset,
    RegisterAgain,
    VerifyEmail,
    Welcome,
)
from web.accounts import limits
from web.accounts.keys import key_of
from web.accounts.models import Registration, User
from web.mail import sending
from web.mail.models import Email


class TooManyMailsError(Exception):
    """Another mail to this address may be asked for after ``wait`` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


def count(email: str, network: str) -> None:
    """Count a mail that somebody unknown asks for.

    One limit counts by address and client together, so that nobody uses up the owner's share. A far
    higher one counts by address alone, against requests from many networks.

    Args:
        email: the address in its one spelling.
        network: of the client.

    Raises TooManyMailsError if a limit is reached.
    """
    together = f"{email} {network}"
    for scope, who, rate in (
        ("account_mail", together, settings.VERIFICATION_MAIL_RATE),
        ("account_mail_daily", together, settings.VERIFICATION_MAIL_DAILY_RATE),
        ("account_mail_address", email, settings.VERIFICATION_MAIL_ADDRESS_RATE),
    ):
        use = limits.consume(scope, who, rate)
        if not use.allowed:
            raise TooManyMailsError(use.wait)


def send_verification(registration: Registration, code: str) -> Email:
    """Send link and code that verify the address of a registration, and make its account."""
    key = key_of(registration)
    page = f"{settings.PUBLIC_URL}{reverse('verification-page')}"
    mail = VerifyEmail(
        verification_url=f"{page}?{urlencode({'key': key})}",
        verification_key=key,
        verification_code=code,
        expires_in_days=Registration.VALID_FOR.days,
    )
    return sending.queue(mail, registration.email)


def send_account_exists(user: User) -> Email:
    """Tell somebody who registers again that there is an account."""
    return sending.queue(AccountExists(login_url=_sign_in_page()), user.email, user=user)


def send_register_again(email: str) -> Email:
    """Answer a request for a new link if the address has no or several registrations."""
    return sending.queue(RegisterAgain(login_url=_sign_in_page()), email)


def send_password_reset(user: User, key: str) -> None:
    """Send link and key for a new password."""
    page = f"{settings.PUBLIC_URL}{reverse('password-reset-page')}"
    mail = PasswordReset(
        reset_url=f"{page}?{urlencode({'key': key})}",
        reset_key=key,
        expires_in_minutes=settings.PASSWORD_RESET_TIMEOUT // 60,
    )
    sending.queue(mail, user.email, user=user)


def send_no_account(email: str) -> None:
    """Answer a request for a new password if the address has no account."""
    sending.queue(NoAccount(login_url=_sign_in_page()), email)


def send_password_changed(user: User) -> None:
    """Tell the owner of an account that its password was changed."""
    page = f"{settings.PUBLIC_URL}{reverse('password-page')}"
    sending.queue(PasswordChanged(reset_url=page), user.email, user=user)


def send_welcome(user: User) -> None:
    """Welcome somebody whose address has just been verified."""
    sending.queue(Welcome(login_url=_sign_in_page()), user.email, user=user)


def way_of(mail: Email) -> dict[str, Any]:
    """Tell somebody who waits for a mail where it is."""
    answer = mail.answer.rstrip(".") or "nothing"
    words = {
        Email.State.QUEUED: "The mail waits to be sent.",
        Email.State.SENDING: "The mail is being sent.",
        Email.State.RETRYING: "The mail server has not taken the mail yet, and is asked again. It "
        f"said: {answer}.",
        Email.State.SENT: "The mail server has taken the mail. If it does not arrive, look among "
        "the unwanted mail, or ask for another at POST /api/v1/users/verify/resend.",
        Email.State.FAILED: "The mail could not be sent. Is the address right? Then register "
        f"again later. The mail server said: {answer}.",
    }
    return {
        "state": mail.state,
        "detail": words[Email.State(mail.state)],
        "next_attempt_at": mail.next_attempt_at,
    }


def hand_over(user: User) -> None:
    """Give a user the mails that went to the address before it was verified."""
    Email.objects.filter(user=None, recipient=user.email).update(user=user)


def _sign_in_page() -> str:
    return f"{settings.PUBLIC_URL}{reverse('docs')}"
