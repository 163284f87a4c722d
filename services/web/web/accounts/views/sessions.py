"""Sign-in, refresh, sign-out, and one's sessions."""

from typing import Any, cast

import structlog
from django.db.models import QuerySet
from django.db.models.functions import Now
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import exceptions, mixins, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.tokens import Token

from web.accounts import serializers, sessions, signing_in, throttles
from web.accounts.models import Session, User
from web.accounts.views.common import PublicView, tokens, validated
from web.clients import client_network
from web.openapi import problem
from web.pagination import NewestFirst

log = structlog.get_logger("web.security")


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
        data = validated(serializers.CredentialsSerializer(data=request.data))
        token = signing_in.sign_in(request._request, data["email"], data["password"])
        return tokens(token)


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
        data = validated(serializers.RefreshSerializer(data=request.data))
        try:
            token = sessions.prolong(data["refresh"], client_network(request))
        except (TokenError, exceptions.AuthenticationFailed) as error:
            log.warning("refresh refused", network=client_network(request))
            raise InvalidToken from error
        return tokens(token)


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


def _token(request: Request) -> Token:
    return cast("Token", request.auth)
