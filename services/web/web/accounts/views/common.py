"""What the views of accounts share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from rest_framework import exceptions, permissions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import RefreshToken

from web.accounts import mails, sessions

ON_ITS_WAY = "A mail to this address is on its way; it says what to do next."


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


@contextmanager
def limited() -> Iterator[None]:
    """Answer 429 if too many mails to an address were asked for."""
    try:
        yield
    except mails.TooManyMailsError as error:
        raise exceptions.Throttled(error.wait) from error


def tokens(token: RefreshToken) -> Response:
    """Answer with a session's tokens."""
    return Response({"access": str(sessions.access(token)), "refresh": str(token)})


def validated(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    """Return what a request holds. Raises ValidationError."""
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, Any]", serializer.validated_data)
