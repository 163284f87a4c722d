"""Six-digit codes, which verify an address where a link is of no use, such as in an app.

Only a digest is stored. A code holds for an hour and five attempts; a new mail brings a new one.
"""

import secrets
from datetime import timedelta

from django.db.models import F
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from runtime.rates import Rate
from web.accounts import limits
from web.accounts.models import Registration

VALID_FOR = timedelta(hours=1)
ATTEMPTS = 5  # for each code
ATTEMPTS_OF_AN_ADDRESS = Rate(50, seconds=86_400)  # for all its codes; links count without limit
SALT = "web.accounts.codes"


class InvalidCodeError(Exception):
    """The code is wrong, too old, or was tried too often, or its registration is gone."""


def renew(registration: Registration) -> str:
    """Give a registration, which the caller saves, a new code, and return that."""
    code = f"{secrets.randbelow(1_000_000):06}"
    registration.code = _digest(registration, code)
    registration.code_made_at, registration.code_attempts = timezone.now(), 0
    return code


def check(registration: Registration | None, code: str) -> None:
    """Count an attempt, and raise InvalidCodeError unless the code is right.

    Of an address with an account no code is right, and each refusal is the same: nothing tells
    whether there is an account. Not to be called in a transaction, whose end might undo the count.
    """
    if registration is None:
        raise InvalidCodeError
    counted = Registration.objects.filter(
        pk=registration.pk, code_made_at__gt=timezone.now() - VALID_FOR, code_attempts__lt=ATTEMPTS
    ).update(code_attempts=F("code_attempts") + 1)
    allowed = limits.consume("code", registration.email, ATTEMPTS_OF_AN_ADDRESS).allowed
    right = constant_time_compare(registration.code, _digest(registration, code))
    if not (counted and allowed and right):
        raise InvalidCodeError


def _digest(registration: Registration, code: str) -> str:
    return salted_hmac(SALT, f"{registration.pk} {code}", algorithm="sha256").hexdigest()
