"""New passwords: for somebody who has forgotten the old one, and for somebody who knows it."""

from collections.abc import Callable
from uuid import UUID

import structlog
from allauth.account.adapter import get_adapter
from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from rest_framework import exceptions
from rest_framework_simplejwt.tokens import RefreshToken

from web.accounts import mails, sessions
from web.accounts.attempts import Attempt, TooManyFailuresError
from web.accounts.keys import InvalidKeyError
from web.accounts.models import User

log = structlog.get_logger("web.security")


class WrongPasswordError(Exception):
    """This is not the account's password."""


def forgotten(email: str, network: str) -> None:
    """Mail a key for a new password, or that there is no account; the work is the same.

    Args:
        email: the address in its one spelling.
        network: of the client.

    Raises mails.TooManyMailsError.
    """
    mails.count(email, network)
    with transaction.atomic():
        user = User.objects.with_verified_address().filter(email=email).first()
        if user:
            mails.send_password_reset(user, key_of(user))
        else:
            mails.send_no_account(email)
    log.info("new password asked for", user=str(user.pk) if user else "", network=network)


def key_of(user: User) -> str:
    """Make a key for a new password. It holds for an hour, and until a password is set."""
    return f"{user.pk.hex}-{default_token_generator.make_token(user)}"


def reset(key: str, password: str, check: Callable[[str, User], None], network: str) -> User:
    """Set a password by a key that was mailed, and end all sessions.

    Args:
        key: from the mail.
        password: the new one.
        check: raises its own error for a password that is too weak; the key stays valid.
        network: of the client.

    Raises InvalidKeyError.
    """
    pk, _, token = key.partition("-")
    try:
        user = User.objects.with_verified_address().get(pk=UUID(pk))
    except (ValueError, User.DoesNotExist) as error:
        raise InvalidKeyError from error
    if not default_token_generator.check_token(user, token):
        raise InvalidKeyError
    check(password, user)
    made = make_password(password)  # before the transaction, to keep that short
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if not default_token_generator.check_token(locked, token):  # used a moment ago
            raise InvalidKeyError
        _save(locked, made)
    log.info("password reset", user=str(user.pk), network=network)
    return user


def change(user: User, current: str, password: str, network: str, agent: str) -> RefreshToken:
    """Set a password, end all sessions, and begin a new one for the client that asks.

    Args:
        user: whose password is changed.
        current: the password until now; wrong ones count as failed sign-ins.
        password: the new one, which has been checked.
        network: of the client.
        agent: as the client calls itself.

    Raises WrongPasswordError, and Throttled after too many failures.
    """
    try:
        attempt = Attempt(user.email, network)
    except TooManyFailuresError as error:
        raise exceptions.Throttled(error.wait) from error
    if not user.check_password(current):
        log.warning("password not changed, for the current one was wrong", user=str(user.pk))
        raise WrongPasswordError
    attempt.succeed()
    made = make_password(password)
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.password != user.password:  # changed a moment ago
            raise WrongPasswordError
        _save(locked, made)
    log.info("password changed", user=str(user.pk), network=network)
    return sessions.begin(locked, network, agent)


def validate(password: str, user: User) -> None:
    """Raise Django's ValidationError for a password that is too weak for an account."""
    get_adapter().clean_password(password, user)


def _save(user: User, password: str) -> None:
    user.password = password
    user.save(update_fields=["password"])
    sessions.end_all(user)
    mails.send_password_changed(user)
