"""Authentication by the access token in the Authorization header."""

import copy
import time
from typing import Any

from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import Token

from web.accounts import sessions
from web.recent import Recent

SCHEME = b"Bearer"


class TokenAuthentication(JWTAuthentication):
    """simplejwt's, with the scheme in upper or lower case (RFC 9110, 11.1).

    A token that was valid a moment ago is not checked again: the end of an account, or of its
    session, counts ``web.recent.SECONDS`` later.
    """

    _valid: Recent[bytes, tuple[Any, Token]] = Recent()

    def authenticate(self, request: Request) -> tuple[Any, Token] | None:
        """Return the account and the token; None without a token. Raises AuthenticationFailed."""
        header = self.get_header(request)
        raw = self.get_raw_token(header) if header else None
        if raw is None:
            return None
        found = self._valid.get(raw)
        if found is None:
            token = self.get_validated_token(raw)
            found = self.get_user(token), token
            sessions.check(token)
            self._valid.keep(raw, found, token["exp"] - time.time())
        user, token = found
        return copy.copy(user), token  # a copy, for the view of another request may change it

    def get_header(self, request: Request) -> bytes:
        """Return the header with the scheme as simplejwt compares it."""
        header: bytes = super().get_header(request)
        scheme, space, rest = (header or b"").partition(b" ")
        return SCHEME + space + rest if scheme.lower() == SCHEME.lower() else header
