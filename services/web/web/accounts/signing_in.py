"""Signing in with address and password."""

import structlog
from allauth.account.utils import has_verified_email
from django.contrib.auth import authenticate
from django.http import HttpRequest
from rest_framework import exceptions, status
from rest_framework_simplejwt.tokens import RefreshToken

from web.accounts import sessions
from web.accounts.addresses import spelling
from web.accounts.attempts import Attempt, TooManyFailuresError, account
from web.accounts.models import User
from web.clients import client_network

log = structlog.get_logger("web.security")


class WrongCredentials(exceptions.AuthenticationFailed):
    """One error for a wrong password, a closed account, an unknown and an unverified address."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "wrong_credentials"
    default_detail = (
        "There is no account with this address and password. If you have just registered, open the "
        "link in the mail first; POST /api/v1/users/verify/resend sends a new one."
    )


def sign_in(request: HttpRequest, email: str, password: str) -> RefreshToken:
    """Return a refresh token, from which an access token can be made.

    Raises WrongCredentials, and Throttled after too many failures.
    """
    network, email = client_network(request), spelling(email)
    try:
        attempt = Attempt(email, network)
    except TooManyFailuresError as error:
        told = account(email)
        log.warning("sign-in refused, after too many failures", **told, network=network)
        raise exceptions.Throttled(error.wait) from error
    user = authenticate(request, email=email, password=password)  # as slow for an unknown address
    if not isinstance(user, User) or not has_verified_email(user):
        log.warning("sign-in failed", **account(email), network=network)
        raise WrongCredentials
    attempt.succeed()
    log.info("signed in", user=str(user.pk), network=network)
    return sessions.begin(user, network, request.headers.get("User-Agent", ""))
