"""The keys of verification mails. A key proves that the mail about its registration was read."""

from uuid import UUID

from django.core import signing

from web.accounts.models import Registration

SALT = "web.accounts.registration"


class InvalidKeyError(Exception):
    """The key is not valid or has expired, or its registration can no longer be an account."""


def key_of(registration: Registration) -> str:
    """Make the key of a registration."""
    return signing.dumps(registration.pk.hex, salt=SALT)


def registration_of(key: str) -> UUID:
    """Return the id of the registration that a key belongs to. Raises InvalidKeyError."""
    try:
        return UUID(signing.loads(key, salt=SALT, max_age=Registration.VALID_FOR))
    except (signing.BadSignature, ValueError, TypeError, AttributeError) as error:
        raise InvalidKeyError from error
