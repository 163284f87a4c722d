"""The API of accounts."""

from typing import Any, cast

import structlog
from allauth.account.models import EmailAddress
from django.db.models import Exists, OuterRef, QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions, generics, permissions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.tokens import AccessToken

from web.accounts import registration, serializers, signing_in, throttles, verification
from web.accounts.authentication import TokenAuthentication
from web.accounts.keys import InvalidKeyError
from web.accounts.models import User
from web.clients import client_network
from web.openapi import problem

log = structlog.get_logger("web.security")
ON_ITS_WAY = "A mail to this address is on its way; it says what to do next."
RESENT = "A mail to this address is on its way: with a new link, or with what to do instead."


class InvalidKey(exceptions.APIException):
    """The key of a verification mail is not valid."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_key"
    default_detail = (
        "This key is not valid, or no longer: POST /api/v1/users/verify/resend sends a new one."
    )


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
        responses={202: OpenApiResponse(serializers.AcceptedSerializer, "A mail is on its way.")},
    )
    def post(self, request: Request) -> Response:
        """Register an address. The answer is the same whether or not it is known already."""
        data = _validated(serializers.RegistrationSerializer(data=request.data))
        network = client_network(request)
        registration.register(data["email"], data["password"], network)
        return Response({"email": data["email"], "detail": ON_ITS_WAY}, status.HTTP_202_ACCEPTED)


class VerificationView(PublicView):
    """Verification of an address."""

    throttle_classes = [throttles.VerificationThrottle]

    @extend_schema(
        summary="Verify an address",
        request=serializers.KeySerializer,
        responses={
            200: serializers.VerifiedSerializer,
            400: problem("`invalid_key`, or `invalid` if there is none."),
        },
    )
    def post(self, request: Request) -> Response:
        """Verify the address that the key was mailed to. A repetition changes nothing."""
        key = _validated(serializers.KeySerializer(data=request.data))["key"]
        try:
            user = verification.verify(key)
        except InvalidKeyError as error:
            raise InvalidKey from error
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
        return Response({"access": str(token.access_token), "refresh": str(token)})


class RefreshView(PublicView):
    """A new access token for a refresh token."""

    throttle_classes = [throttles.SignInThrottle]

    @extend_schema(
        summary="Get the next access token",
        request=serializers.RefreshSerializer,
        responses={200: serializers.AccessSerializer, 401: problem("`token_not_valid`")},
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for an access token."""
        data = _validated(serializers.RefreshSerializer(data=request.data))
        try:
            tokens = TokenRefreshSerializer().validate(data)
            # Refuses a token that was issued before the password was changed.
            TokenAuthentication().get_user(AccessToken(cast("Any", tokens["access"])))
        except (TokenError, User.DoesNotExist) as error:
            log.warning("refresh refused", network=client_network(request))
            raise InvalidToken from error
        return Response({"access": tokens["access"]})


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


def _validated(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, Any]", serializer.validated_data)
