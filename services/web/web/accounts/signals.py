"""What follows when allauth tells that something happened."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed
from django.db import transaction
from django.dispatch import receiver

from web.accounts import mails


@receiver(email_confirmed)
def welcome(email_address: EmailAddress, **_: Any) -> None:
    """Queue the welcome mail, in the transaction that verifies the address if there is one."""
    with transaction.atomic(savepoint=False):
        mails.send_welcome(email_address.user, email_address.email)
