"""Answers to requests that must not reach a view, or whose view fails outside of DRF."""

import re
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import DataError
from django.http import HttpRequest, HttpResponse, UnreadablePostError

from web.postgresql.pool import give_back
from web.problems.exceptions import ContentTooLarge, LengthRequired, UnsupportedMediaType
from web.problems.handlers import DATABASE_ERRORS, answer, handler400, unavailable

log = structlog.get_logger("web.problems")
# Addresses to which anybody may send a body, without a token or a session.
PUBLIC = ("/api/v1/users", "/api/v1/auth/", "/verify", "/admin/login/")
LARGEST_PUBLIC_BODY = 16 * 1024  # bytes
PRIVATE = "/api/v1/"  # answers hold tokens, or a user's data
MEDIA_TYPE = re.compile(r"\s*[\w!#$&^.+*-]+/[\w!#$&^.+*-]+\s*(;.*)?", re.ASCII | re.DOTALL)
CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}


class ProblemMiddleware:
    """Reads or refuses each body before a view is called, and answers for an absent database.

    Refused are bodies that are too large, of unknown length, compressed, or not in UTF-8.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handle one request."""
        # Django decodes forms by the charset that a client names. Some of Python's codecs take
        # minutes, and some do not decode text.
        media_type = request.headers.get("Content-Type") or "text/plain"
        charset = (request.content_params or {}).get("charset", "utf-8").lower()
        encoding = request.headers.get("Content-Encoding", "identity").lower()
        known = charset in CHARSETS and encoding == "identity"
        if not (known and MEDIA_TYPE.fullmatch(media_type)):
            return answer(UnsupportedMediaType(), request)
        # Django would take a body in chunks for an empty one.
        if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            return answer(LengthRequired(), request)
        # DRF reads JSON past Django's own check of this limit.
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if request.path.startswith(PUBLIC):
            limit = min(limit, LARGEST_PUBLIC_BODY)
        if _length(request) > limit:
            return answer(ContentTooLarge(f"A body may have up to {limit:,} bytes here."), request)
        try:
            _ = request.body  # all of it, before a connection to the database is taken
        except UnreadablePostError as error:
            return handler400(request, error)
        response = self._get_response(request)
        give_back()  # now, for the client may be slow to take the answer
        if request.path.startswith(PRIVATE):
            response.setdefault("Cache-Control", "no-store")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer for a view that failed in the database: 503 if it is away, 400 for a bad value."""
        if isinstance(error, DATABASE_ERRORS):
            return unavailable(request, error)
        # For instance a NUL, which Python takes as a character and PostgreSQL does not.
        if request.method in ("GET", "HEAD") and isinstance(error, DataError):
            log.warning("refused for a value in the address", exc_info=error)
            return handler400(request, error)
        return None


def _length(request: HttpRequest) -> int:
    try:
        return int(request.headers.get("Content-Length") or 0)
    except ValueError:
        return 0
