"""One id for an HTTP request and everything that follows from it, from ``X-Request-ID`` on."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager

import structlog
from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
# Supervisors and Prometheus ask for these every few seconds, the proxy with each operators' page.
INTERNAL = re.compile("/(healthz|readyz|metrics|staff/.*)")
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,128}")
log = structlog.get_logger("web.request")


class RequestIdMiddleware:
    """Take the client's id or make one, bind it to the logs, answer with it, log the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handle one request."""
        request_id = chosen(request.headers.get(HEADER, ""))
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self._get_response(request)
            response.headers[HEADER] = request_id
            log.log(
                _level(request),
                "request answered",
                method=request.method,
                path=request.path,  # without the query, which may hold a secret
                status=response.status_code,
                seconds=round(time.monotonic() - started, 3),
            )
        return response


def chosen(given: str) -> str:
    """Return the client's id if it is acceptable, otherwise a new one."""
    return given if ACCEPTABLE.fullmatch(given) else uuid.uuid4().hex


def _level(request: HttpRequest) -> int:
    # Otherwise the log would hold little else.
    return logging.DEBUG if INTERNAL.fullmatch(request.path) else logging.INFO


def restored(request_id: str) -> AbstractContextManager[object]:
    """Bind the id of an earlier request to the logs, while its consequences are handled."""
    return structlog.contextvars.bound_contextvars(request_id=request_id)


def current() -> str:
    """Return the id of the request being handled, or an empty string outside of one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))
