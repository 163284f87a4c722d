"""From an exception to an answer: in DRF's views, in Django's, and outside of both."""

import sys
from typing import Any

import structlog
from django.core.exceptions import DisallowedHost, PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from web.clients import client_network
from web.problems.document import MEDIA_TYPE, describe
from web.problems.exceptions import InternalError, ServiceUnavailable

log = structlog.get_logger("web.problems")
security_log = structlog.get_logger("web.security")
# The database is away, overloaded, or gave up on a statement: never the request's fault.
DATABASE_ERRORS = (OperationalError, InterfaceError)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer for DRF's views. None leaves the error to Django, which then calls ``handler500``."""
    known = _as_api_exception(error)
    response = drf_exception_handler(known, context) if known else None
    if response is None or known is None:
        return None
    if isinstance(known, exceptions.PermissionDenied):
        log_refused(context["request"])
    response.data = describe(known, context["request"].path)
    response.content_type = MEDIA_TYPE
    return response


def answer(error: exceptions.APIException, request: HttpRequest) -> HttpResponse:
    """Answer outside of DRF: the problem as JSON, with Retry-After if the error has a wait."""
    response = JsonResponse(
        describe(error, request.path), status=error.status_code, content_type=MEDIA_TYPE
    )
    if wait := getattr(error, "wait", None):
        response.headers["Retry-After"] = str(wait)
    return response


def unavailable(request: HttpRequest, error: Exception) -> HttpResponse:
    """Answer 503 while the database is away: to programs as a problem, to people as text."""
    _log_unavailable(error)
    if not is_api(request):
        sorry = "The database is not available at the moment. Please try again."
        response = HttpResponse(sorry, status=503, content_type="text/plain; charset=utf-8")
        response.headers["Retry-After"] = str(ServiceUnavailable.wait)
        return response
    return answer(ServiceUnavailable(), request)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django itself refuses, for instance for its Host header."""
    if not is_api(request):
        return defaults.bad_request(request, exception)
    detail = "The request is not acceptable."
    if isinstance(exception, DisallowedHost):
        detail = "The server does not answer under this name; ALLOWED_HOSTS lists those it has."
    return answer(exceptions.ParseError(detail, "bad_request"), request)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request without permission."""
    log_refused(request)
    if not is_api(request):
        return defaults.permission_denied(request, exception)
    return answer(exceptions.PermissionDenied(), request)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request for an address that does not exist."""
    if not is_api(request):
        return defaults.page_not_found(request, exception)
    return answer(exceptions.NotFound("There is nothing at this address."), request)


def handler500(request: HttpRequest) -> HttpResponse:
    """Answer after an unexpected error, which Django has logged."""
    error = sys.exc_info()[1]
    if isinstance(error, DATABASE_ERRORS):
        return unavailable(request, error)
    if not is_api(request):
        return defaults.server_error(request)
    return answer(InternalError(), request)


def log_refused(request: Any) -> None:
    """Log a signed-in user's request that was refused for want of a permission."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        network = client_network(request)
        security_log.warning("refused", user=str(user.pk), path=request.path, network=network)


def is_api(request: HttpRequest) -> bool:
    """Whether the address is for programs, not for people with a browser."""
    return request.path.startswith("/api/") and request.path != "/api/docs/"


def _as_api_exception(error: Exception) -> exceptions.APIException | None:
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, Http404):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, DATABASE_ERRORS):
        _log_unavailable(error)
        return ServiceUnavailable()
    return None


def _log_unavailable(error: Exception) -> None:
    log.error("database not available", error=f"{type(error).__name__}: {error}".strip())
