"""Verifying that an address belongs to whoever registered it."""

from datetime import timedelta

from allauth.account import app_settings
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.core import signing
from django.db import transaction
from django.http import HttpRequest

from web.accounts import mails


class InvalidKeyError(Exception):
    """The key is not one of ours, has expired, or its account is gone."""


@transaction.atomic
def verify(request: HttpRequest, key: str) -> EmailAddress:
    """Verify the address that a key was sent to.

    To repeat it does no harm and has no further effect: people click twice, programs retry.

    Raises InvalidKeyError.
    """
    address = _locked_address(key)
    if address.verified:
        return address
    confirmed = EmailConfirmationHMAC(address).confirm(request)
    if confirmed is None:
        raise InvalidKeyError  # meanwhile the address belongs to another account
    return confirmed


@transaction.atomic
def resend(request: HttpRequest, email: str) -> None:
    """Send a fresh link if the address waits for its verification; tell nobody whether it does."""
    waiting = EmailAddress.objects.filter(email=email, verified=False, user__is_active=True)
    address = waiting.select_related("user").first()
    if address:
        mails.send_verification(request, address)


def _locked_address(key: str) -> EmailAddress:
    # Unlike allauth's from_key this finds verified addresses too, and lets the second of two
    # simultaneous requests wait, so that there is one welcome mail.
    expiry = timedelta(days=app_settings.EMAIL_CONFIRMATION_EXPIRE_DAYS)
    try:
        pk = signing.loads(key, salt=app_settings.SALT, max_age=expiry)
    except signing.BadSignature as error:
        raise InvalidKeyError from error
    addresses = EmailAddress.objects.select_for_update(of=("self",)).select_related("user")
    address = addresses.filter(pk=pk).first()
    if address is None:
        raise InvalidKeyError
    return address
