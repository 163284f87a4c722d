"""Who sends a request, by the access token in its Authorization header."""

from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication

SCHEME = b"Bearer"


class TokenAuthentication(JWTAuthentication):
    """simplejwt's, with a scheme that has no case (RFC 9110, 11.1)."""

    def get_header(self, request: Request) -> bytes:
        """Return the header as simplejwt knows it."""
        header: bytes = super().get_header(request)
        scheme, space, rest = (header or b"").partition(b" ")
        return SCHEME + space + rest if scheme.lower() == SCHEME.lower() else header
