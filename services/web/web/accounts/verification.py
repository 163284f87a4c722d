"""Verifying an address, by key or code that was mailed to it; this makes the account."""

from uuid import UUID

import structlog
from allauth.account.models import EmailAddress
from django.db import transaction

from web.accounts import codes, mails, registration
from web.accounts.keys import InvalidKeyError, registration_of
from web.accounts.models import Registration, User

log = structlog.get_logger("web.security")


def verify(key: str) -> User:
    """Make the account of the registration for which a key was mailed.

    The account has the registration's id and password. A second call with the same key changes
    nothing, because people click twice and programs retry.

    Raises InvalidKeyError.
    """
    return _verify(registration_of(key))


def verify_by_code(pk: UUID, code: str) -> User:
    """Make the account of a registration whose code was mailed. Raises InvalidCodeError."""
    codes.check(registration.find(pk), code)
    try:
        return _verify(pk)
    except InvalidKeyError as error:
        raise codes.InvalidCodeError from error


@transaction.atomic
def _verify(pk: UUID) -> User:
    email = Registration.objects.filter(pk=pk).values_list("email", flat=True).first()
    # Locks all registrations of the address, always in the same order. Of simultaneous requests for
    # any of them, the second waits for the first and then finds the account.
    rivals = Registration.objects.filter(email=email).order_by("pk").select_for_update()
    found = next((each for each in rivals if each.pk == pk), None) if email else None
    return _made_before(pk) if found is None else _make(found)


def _made_before(pk: UUID) -> User:
    user = User.objects.filter(pk=pk, is_active=True).first()
    if user is None:
        raise InvalidKeyError
    return user


def _make(noted: Registration) -> User:
    user = User(pk=noted.pk, email=noted.email, password=noted.password)
    User.objects.bulk_create([user], ignore_conflicts=True)  # waits for a rival's commit
    if not User.objects.filter(pk=user.pk).exists():
        raise InvalidKeyError
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    noted.delete()  # not its rivals: whoever watches one would see that there is an account
    mails.hand_over(user)
    mails.send_welcome(user)
    log.info("account made", user=str(user.pk))
    return user
