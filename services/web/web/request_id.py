"""One id for all that an HTTP request sets in motion, from ``X-Request-ID`` to the results."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager

import structlog
from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
# Asked every few seconds by supervisors and Prometheus, or by the proxy for each operator's page.
INTERNAL = re.compile("/(healthz|readyz|metrics|staff/.*)")
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,128}")
log = structlog.get_logger("web.request")


class RequestIdMiddleware:
    """Take the client's id or make one, bind it to the logs, answer with it, log the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handle one request."""
        given = request.headers.get(HEADER, "")
        request_id = given if ACCEPTABLE.fullmatch(given) else uuid.uuid4().hex
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self._get_response(request)
            response.headers[HEADER] = request_id
            log.log(
                _level(request),
                "request answered",
                method=request.method,
                path=request.path,  # without the query, which may hold what is nobody's business
                status=response.status_code,
                seconds=round(time.monotonic() - started, 3),
            )
        return response


def _level(request: HttpRequest) -> int:
    # They would bury what people did.
    return logging.DEBUG if INTERNAL.fullmatch(request.path) else logging.INFO


def restored(request_id: str) -> AbstractContextManager[object]:
    """Bind the id of an earlier request, while something is done that follows from it."""
    return structlog.contextvars.bound_contextvars(request_id=request_id)


def current() -> str:
    """Id of the request being handled, or an empty string outside of one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))
