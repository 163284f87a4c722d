"""What has to be answered before a view is reached, or when it fails outside of DRF."""

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
# Where anybody may send something, without a token or a session.
PUBLIC = ("/api/v1/users", "/api/v1/auth/", "/verify", "/admin/login/")
LARGEST_PUBLIC_BODY = 16 * 1024  # bytes
PRIVATE = "/api/v1/"  # answers hold tokens, or what belongs to somebody
MEDIA_TYPE = re.compile(r"\s*[\w!#$&^.+*-]+/[\w!#$&^.+*-]+\s*(;.*)?", re.ASCII | re.DOTALL)
CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}


class ProblemMiddleware:
    """Reads bodies, or refuses to, before anything else, and answers for an absent database.

    What is refused: a body that is too large, of a length unknown, or in another charset.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handle one request."""
        # Python has codecs that take minutes, and some that are none of text.
        media_type = request.headers.get("Content-Type") or "text/plain"
        charset = (request.content_params or {}).get("charset", "utf-8").lower()
        encoding = request.headers.get("Content-Encoding", "identity").lower()
        known = charset in CHARSETS and encoding == "identity"
        if not (known and MEDIA_TYPE.fullmatch(media_type)):
            return answer(UnsupportedMediaType(), request)
        # Django does not see a body in chunks, so that it would be taken for an empty one.
        if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            return answer(LengthRequired(), request)
        # DRF reads JSON past Django's own check of this limit.
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if request.path.startswith(PUBLIC):
            limit = min(limit, LARGEST_PUBLIC_BODY)
        if _length(request) > limit:
            return answer(ContentTooLarge(f"A body may have up to {limit:,} bytes here."), request)
        try:
            _ = request.body  # all of it, before anything takes a connection to the database
        except UnreadablePostError as error:
            return handler400(request, error)
        response = self._get_response(request)
        give_back()  # however slowly the client takes the answer
        if request.path.startswith(PRIVATE):
            response.setdefault("Cache-Control", "no-store")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer for a view that could not reach the database, or that was asked for too much."""
        if isinstance(error, DATABASE_ERRORS):
            return unavailable(request, error)
        if request.method in ("GET", "HEAD") and isinstance(error, _out_of_range(request)):
            log.warning("refused for a value in the address", exc_info=error)
            return handler400(request, error)
        return None


def _length(request: HttpRequest) -> int:
    try:
        return int(request.headers.get("Content-Length") or 0)
    except ValueError:
        return 0


def _out_of_range(request: HttpRequest) -> tuple[type[Exception], ...]:
    """What a value in an address causes that is one to Python but not to PostgreSQL, such as a NUL.

    The admin looks up whatever its address says: there the year 0 fails on the way to the database.
    """
    in_admin = request.path.startswith("/admin/")
    return (DataError, ValueError, OverflowError) if in_admin else (DataError,)
