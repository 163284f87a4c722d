"""Registration that tells nobody whether an address is known."""

from django.contrib.auth.hashers import make_password
from django.db import transaction

from web.accounts import mails
from web.accounts.models import Registration, User


def register(email: str, password: str) -> None:
    """Note a registration, and mail what to do next, in one transaction.

    A known address gets a mail that says so. Any other gets a link that belongs to this
    registration and its password alone: whoever else registers the same address changes nothing of
    that. Whatever is known of the address, the same is done, so that the time tells nothing.

    Args:
        email: the address in its one spelling.
        password: is hashed before the transaction, which so stays short.
    """
    registration = Registration(email=email, password=make_password(password))
    with transaction.atomic():
        if not mails.may_be_sent(email):
            return  # without a mail nobody could ever use it
        registration.save(force_insert=True)
        if owner := User.objects.filter(email=email).first():
            mails.send_account_exists(owner)
        else:
            mails.send_verification(registration)
    Registration.objects.forget_some()


@transaction.atomic
def resend(email: str) -> None:
    """Mail a fresh link for the one registration of an address, or what to do instead.

    Of several only their makers can say which is theirs. Arguments as of ``register``.
    """
    if not mails.may_be_sent(email):
        return
    waiting = list(Registration.objects.valid().filter(email=email)[:2])
    if owner := User.objects.filter(email=email).first():
        mails.send_account_exists(owner)
    elif len(waiting) == 1:
        mails.send_verification(waiting[0])
    else:
        mails.send_register_again(email)
