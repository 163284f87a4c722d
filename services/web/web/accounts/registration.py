"""Registration that tells nobody whether an address is known."""

from django.contrib.auth.hashers import make_password
from django.db import transaction

from web.accounts import mails
from web.accounts.models import Registration, User


def register(email: str, password: str, network: str) -> None:
    """Store a registration, and mail what to do next, in one transaction.

    An address with an account gets a mail that says so. Any other gets a link for this registration
    and its password alone, so nobody else who registers the address can change the password. The
    work is the same for every address, so that the time tells nothing.

    Args:
        email: the address in its one spelling.
        password: is hashed before the transaction, to keep that short.
        network: of the client.
    """
    registration = Registration(email=email, password=make_password(password))
    with transaction.atomic():
        if not mails.may_be_sent(email, network):
            return  # without its mail nobody could use the registration
        registration.save(force_insert=True)
        if owner := User.objects.filter(email=email).first():
            mails.send_account_exists(owner)
        else:
            mails.send_verification(registration)
    Registration.objects.forget_some()


@transaction.atomic
def resend(email: str, network: str) -> None:
    """Mail a fresh link for the one registration of an address, or what to do instead.

    With several registrations no link is sent: nobody can tell which of them the asker made.
    Arguments as of ``register``.
    """
    if not mails.may_be_sent(email, network):
        return
    waiting = list(Registration.objects.valid().filter(email=email)[:2])
    if owner := User.objects.filter(email=email).first():
        mails.send_account_exists(owner)
    elif len(waiting) == 1:
        mails.send_verification(waiting[0])
    else:
        mails.send_register_again(email)
