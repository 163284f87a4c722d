"""Signing in with address and password."""

from allauth.account.utils import has_verified_email
from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest
from rest_framework import exceptions, status
from rest_framework_simplejwt.tokens import RefreshToken

from web.accounts import limits
from web.accounts.models import User


class EmailNotVerified(exceptions.PermissionDenied):
    """Password right, address not verified."""

    default_code = "email_not_verified"
    default_detail = (
        "This address is not verified yet. Open the link in the mail that we sent to it; "
        "POST /api/v1/users/verify/resend sends a new one."
    )


class WrongCredentials(exceptions.AuthenticationFailed):
    """The same for a wrong password, an unknown address and a closed account."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "wrong_credentials"
    default_detail = "There is no account with this address and password."


def sign_in(request: HttpRequest, email: str, password: str) -> RefreshToken:
    """Return a refresh token, which carries an access token.

    Only failures count towards the limit of an address, so that its owner is not limited.

    Raises WrongCredentials, EmailNotVerified, and Throttled after too many failures.
    """
    attempt = limits.consume("sign_in_failures", email.lower(), settings.THROTTLE_SIGN_IN_FAILURES)
    if not attempt.allowed:
        raise exceptions.Throttled(attempt.wait)
    user = authenticate(request, email=email, password=password)  # as slow for an unknown address
    if not isinstance(user, User):
        raise WrongCredentials
    attempt.refund()
    if not has_verified_email(user):
        raise EmailNotVerified
    return RefreshToken.for_user(user)
