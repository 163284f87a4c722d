"""Registration that tells nobody whether an address is known."""

from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models.functions import Now

from web.accounts import codes, mails
from web.accounts.models import Registration, User


def register(email: str, password: str, network: str) -> Registration:
    """Store a registration, and mail what to do next, in one transaction.

    An address with an account gets a mail that says so. Any other gets link and code for this
    registration and its password alone, so nobody else who registers the address can change the
    password. The work is the same for every address, so that the time tells nothing.

    Args:
        email: the address in its one spelling.
        password: is hashed before the transaction, to keep that short.
        network: of the client.

    Raises mails.TooManyMailsError. Without a mail nobody could use the registration.
    """
    registration = Registration(email=email, password=make_password(password))
    mails.count(email, network)
    code = codes.renew(registration)
    with transaction.atomic():
        if owner := User.objects.filter(email=email).first():
            registration.code = ""  # of which no attempt is right
            registration.mail = mails.send_account_exists(owner)
        else:
            registration.mail = mails.send_verification(registration, code)
        registration.save(force_insert=True)
    Registration.objects.forget_some()
    return registration


def resend(email: str, network: str) -> None:
    """Mail a fresh link and code for the one registration of an address, or what to do instead.

    With several registrations no link is sent: nobody can tell which of them the asker made.
    Arguments and errors as of ``register``.
    """
    mails.count(email, network)
    with transaction.atomic():
        waiting = list(Registration.objects.valid().filter(email=email)[:2])
        # Without exactly one, it is a registration that is stored nowhere: the work is the same.
        registration = waiting[0] if len(waiting) == 1 else Registration(email=email)
        code = codes.renew(registration)
        if owner := User.objects.filter(email=email).first():
            registration.code = ""
            mail = mails.send_account_exists(owner)
        elif len(waiting) == 1:
            mail = mails.send_verification(registration, code)
        else:
            mail = mails.send_register_again(email)
        Registration.objects.filter(pk=registration.pk).update(
            mail=mail, code=registration.code,
            code_made_at=registration.code_made_at, code_attempts=0,
        )  # fmt: skip


def find(pk: UUID) -> Registration | None:
    """Return a registration that is not verified and has not expired, with its mail."""
    return Registration.objects.valid().select_related("mail").filter(pk=pk).first()


def was_verified(pk: UUID) -> bool:
    """Whether a registration has become an account while its key was valid."""
    since = Now() - Registration.VALID_FOR
    return User.objects.filter(pk=pk, created_at__gt=since).exists()
