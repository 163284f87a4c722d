"""New passwords."""

from typing import cast

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from web.accounts import passwords, serializers, throttles
from web.accounts.keys import InvalidKeyError
from web.accounts.models import User
from web.accounts.views.common import (
    ON_ITS_WAY,
    InvalidKey,
    PublicView,
    limited,
    tokens,
    validated,
)
from web.clients import client_network
from web.openapi import problem

INVALID_RESET_KEY = (
    "This key is not valid, or no longer: POST /api/v1/auth/password/reset sends a new one."
)


class WrongPassword(exceptions.PermissionDenied):
    """The current password is another."""

    default_code = "wrong_password"
    default_detail = "The current password is another one."


class PasswordResetView(PublicView):
    """The mail for somebody who has forgotten the password."""

    throttle_classes = [throttles.RegistrationThrottle]

    @extend_schema(
        summary="Ask for a new password",
        request=serializers.EmailSerializer,
        responses={202: OpenApiResponse(serializers.AcceptedSerializer, "A mail is on its way.")},
    )
    def post(self, request: Request) -> Response:
        """Send a key for a new password. The answer is the same for every address."""
        email = validated(serializers.EmailSerializer(data=request.data))["email"]
        with limited():
            passwords.forgotten(email, client_network(request))
        return Response({"email": email, "detail": ON_ITS_WAY}, status.HTTP_202_ACCEPTED)


class PasswordConfirmView(PublicView):
    """A new password by a key that was mailed."""

    throttle_classes = [throttles.VerificationThrottle]

    @extend_schema(
        summary="Choose a new password by the key from the mail",
        request=serializers.NewPasswordSerializer,
        responses={
            200: serializers.VerifiedSerializer,
            400: problem("`invalid_key`, or `invalid` for a password that is too weak."),
        },
    )
    def post(self, request: Request) -> Response:
        """Set the password, once for each key, and end all sessions of the account."""
        data = validated(serializers.NewPasswordSerializer(data=request.data))
        check, network = serializers.check_password, client_network(request)
        try:
            user = passwords.reset(data["key"], data["password"], check, network)
        except InvalidKeyError as error:
            raise InvalidKey(INVALID_RESET_KEY) from error
        return Response({"email": user.email, "verified": True})


class PasswordView(APIView):
    """The password of the user who asks."""

    throttle_classes = [throttles.SignInThrottle]

    @extend_schema(
        summary="Change the password",
        request=serializers.ChangedPasswordSerializer,
        responses={
            200: serializers.TokensSerializer,
            403: problem("`wrong_password`: the current one is another."),
        },
    )
    def post(self, request: Request) -> Response:
        """Set a new password, and end all sessions. The answer has tokens of a new one."""
        user, agent = cast("User", request.user), request.headers.get("User-Agent", "")
        data = validated(
            serializers.ChangedPasswordSerializer(data=request.data, context={"user": user})
        )
        try:
            token = passwords.change(
                user, data["current_password"], data["password"], client_network(request), agent
            )
        except passwords.WrongPasswordError as error:
            raise WrongPassword from error
        return tokens(token)
