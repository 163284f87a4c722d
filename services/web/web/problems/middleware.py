"""What has to be answered before a view is reached, or when it fails outside of DRF."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from web.problems.exceptions import ContentTooLarge, LengthRequired
from web.problems.handlers import DATABASE_ERRORS, answer, unavailable


class ProblemMiddleware:
    """Refuses bodies that are too large before they are read; answers for an absent database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handle one request."""
        # Django does not see a body in chunks, so that it would be taken for an empty one.
        if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            return answer(LengthRequired(), request)
        # DRF reads JSON past Django's own check of this limit.
        if _length(request) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            limit = f"A body may have up to {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes."
            return answer(ContentTooLarge(limit), request)
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer for a view that could not reach the database."""
        return unavailable(request, error) if isinstance(error, DATABASE_ERRORS) else None


def _length(request: HttpRequest) -> int:
    try:
        return int(request.headers.get("Content-Length") or 0)
    except ValueError:
        return 0
