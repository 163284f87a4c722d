"""The API of accounts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import structlog
from allauth.account.models import EmailAddress
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import exceptions, generics, mixins, permissions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.tokens import RefreshToken, Token

from web.accounts import (
    mails,
    passwords,
    registration,
    serializers,
    sessions,
    signing_in,
    throttles,
    verification,
)
from web.accounts.codes import InvalidCodeError
from web.accounts.keys import InvalidKeyError
from web.accounts.models import Session, User
from web.clients import client_network
from web.openapi import problem
from web.pagination import NewestFirst

log = structlog.get_logger("web.security")
INVALID_RESET_KEY = (
    "This key is not valid, or no longer: POST /api/v1/auth/password/reset sends a new one."
)
ON_ITS_WAY = "A mail to this address is on its way; it says what to do next."
RESENT = "A mail to this address is on its way: with a new link, or with what to do instead."


class InvalidKey(exceptions.APIException):
    """The key of a verification mail is not valid."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_key"
    default_detail = (
        "This key is not valid, or no longer: POST /api/v1/users/verify/resend sends a new one."
    )


class InvalidCode(exceptions.APIException):
    """The code of a verification mail is not valid."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_code"
    default_detail = (
        "This code is not valid, or no longer, or was tried too often: "
        "POST /api/v1/users/verify/resend sends a new one."
    )


class WrongPassword(exceptions.PermissionDenied):
    """The current password is another."""

    default_code = "wrong_password"
    default_detail = "The current password is another one."


class PublicView(APIView):
    """A view for everybody. It needs no token, and ignores one."""

    permission_classes = [permissions.AllowAny]
    authentication_classes = []

    def get_authenticate_header(self, request: Request) -> str:
        """Return a header, without which DRF would turn each 401 into a 403."""
        return 'Bearer realm="api"'


class RegistrationView(PublicView):
    """Registration of an address."""

    throttle_classes = [throttles.RegistrationThrottle]

    @extend_schema(
        summary="Register",
        request=serializers.RegistrationSerializer,
        responses={202: OpenApiResponse(serializers.RegisteredSerializer, "A mail is on its way.")},
    )
    def post(self, request: Request) -> Response:
        """Register an address. The answer is the same whether or not it is known already.

        `registration` is for this client alone: GET /api/v1/registrations/{id} tells where the
        mail is, and POST /api/v1/users/verify takes it together with the code from the mail.
        """
        data = _validated(serializers.RegistrationSerializer(data=request.data))
        with _limited():
            noted = registration.register(data["email"], data["password"], client_network(request))
        answer = {"email": data["email"], "detail": ON_ITS_WAY, "registration": str(noted.pk)}
        return Response(answer, status.HTTP_202_ACCEPTED)


class RegistrationStateView(PublicView):
    """Where a registration is, for whoever knows its id.

    Not limited by itself: a count would cost more than the answer, and no id can be guessed.
    """

    @extend_schema(
        summary="Show how far a registration is",
        responses={200: serializers.RegistrationStateSerializer},
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """Tell where the mail is, and whether the address is verified; for three days."""
        if found := registration.find(pk):
            mail = mails.way_of(found.mail) if found.mail else None
            return Response({"id": str(pk), "verified": False, "mail": mail})
        if registration.was_verified(pk):
            return Response({"id": str(pk), "verified": True, "mail": None})
        raise exceptions.NotFound


class VerificationView(PublicView):
    """Verification of an address."""

    throttle_classes = [throttles.VerificationThrottle]

    @extend_schema(
        summary="Verify an address",
        request=serializers.VerificationSerializer,
        responses={
            200: serializers.VerifiedSerializer,
            400: problem("`invalid_key`, `invalid_code`, or `invalid` if there is neither."),
        },
    )
    def post(self, request: Request) -> Response:
        """Verify the address that key or code was mailed to.

        A repetition with the same key changes nothing. A code holds for an hour, five attempts and
        one use.
        """
        data = _validated(serializers.VerificationSerializer(data=request.data))
        try:
            if "key" in data:
                user = verification.verify(data["key"])
            else:
                user = verification.verify_by_code(data["registration"], data["code"])
        except InvalidKeyError as error:
            raise InvalidKey from error
        except InvalidCodeError as error:
            raise InvalidCode from error
        return Response({"email": user.email, "verified": True})


class ResendView(PublicView):
    """A fresh verification mail."""

    throttle_classes = [throttles.RegistrationThrottle]

    @extend_schema(
        summary="Send the verification mail again",
        request=serializers.EmailSerializer,
        responses={202: OpenApiResponse(serializers.AcceptedSerializer, "Accepted.")},
    )
    def post(self, request: Request) -> Response:
        """Send a new link. The answer is the same for every address."""
        email = _validated(serializers.EmailSerializer(data=request.data))["email"]
        with _limited():
            registration.resend(email, client_network(request))
        return Response({"email": email, "detail": RESENT}, status.HTTP_202_ACCEPTED)


class TokenView(PublicView):
    """Sign-in with address and password."""

    throttle_classes = [throttles.SignInThrottle]

    @extend_schema(
        summary="Sign in",
        request=serializers.CredentialsSerializer,
        responses={
            200: serializers.TokensSerializer,
            401: problem("`wrong_credentials`"),
        },
    )
    def post(self, request: Request) -> Response:
        """Sign in with a verified address."""
        data = _validated(serializers.CredentialsSerializer(data=request.data))
        token = signing_in.sign_in(request._request, data["email"], data["password"])
        return _tokens(token)


class RefreshView(PublicView):
    """New tokens for a refresh token."""

    throttle_classes = [throttles.SignInThrottle]

    @extend_schema(
        summary="Get the next tokens",
        request=serializers.RefreshSerializer,
        responses={200: serializers.TokensSerializer, 401: problem("`token_not_valid`")},
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for an access token and the next refresh token.

        Each refresh token can be exchanged once. If it is used again, more than 10 seconds later,
        its session ends: somebody may have copied it.
        """
        data = _validated(serializers.RefreshSerializer(data=request.data))
        try:
            token = sessions.prolong(data["refresh"], client_network(request))
        except (TokenError, exceptions.AuthenticationFailed) as error:
            log.warning("refresh refused", network=client_network(request))
            raise InvalidToken from error
        return _tokens(token)


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
        email = _validated(serializers.EmailSerializer(data=request.data))["email"]
        with _limited():
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
        data = _validated(serializers.NewPasswordSerializer(data=request.data))
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
        data = _validated(
            serializers.ChangedPasswordSerializer(data=request.data, context={"user": user})
        )
        try:
            token = passwords.change(
                user, data["current_password"], data["password"], client_network(request), agent
            )
        except passwords.WrongPasswordError as error:
            raise WrongPassword from error
        return _tokens(token)


class SignOutView(APIView):
    """The end of the session."""

    @extend_schema(summary="Sign out", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """End the session that this access token belongs to."""
        sessions.end(_token(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    list=extend_schema(summary="List your sessions, newest first"),
    destroy=extend_schema(summary="End a session"),
)
class SessionViewSet(mixins.ListModelMixin, mixins.DestroyModelMixin, GenericViewSet[Session]):
    """Sessions of the user who asks."""

    queryset = Session.objects.none()
    serializer_class = serializers.SessionSerializer
    pagination_class = NewestFirst
    lookup_value_regex = "[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Session]:
        """The user's sessions that have not expired."""
        owner = cast("User", self.request.user)
        return Session.objects.filter(user_id=owner.pk, expires_at__gt=Now())

    def get_serializer_context(self) -> dict[str, Any]:
        """Tell the serializer which session is that of the request."""
        return {**super().get_serializer_context(), "session": sessions.id_of(_token(self.request))}

    @extend_schema(
        summary="Sign out everywhere",
        operation_id="auth_sessions_destroy_all",
        responses={204: None},
    )
    def destroy_all(self, request: Request) -> Response:
        """End all sessions, also that of this access token."""
        sessions.end_all(cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(summary="Show who you are")
class MeView(generics.RetrieveAPIView[User]):
    """The user whose token this is."""

    serializer_class = serializers.UserSerializer

    def get_queryset(self) -> QuerySet[User]:
        """Users, annotated with whether their address is verified."""
        verified = EmailAddress.objects.filter(
            user=OuterRef("pk"), email=OuterRef("email"), verified=True
        )
        return User.objects.annotate(email_verified=Exists(verified))

    def get_object(self) -> User:
        """Return the user who asks."""
        return self.get_queryset().get(pk=cast("User", self.request.user).pk)


@contextmanager
def _limited() -> Iterator[None]:
    """Answer 429 if too many mails to an address were asked for."""
    try:
        yield
    except mails.TooManyMailsError as error:
        raise exceptions.Throttled(error.wait) from error


def _token(request: Request) -> Token:
    return cast("Token", request.auth)


def _tokens(token: RefreshToken) -> Response:
    return Response({"access": str(sessions.access(token)), "refresh": str(token)})


def _validated(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, Any]", serializer.validated_data)
