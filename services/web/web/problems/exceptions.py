"""Errors for which DRF has no class. Each takes ``(detail, code)`` like DRF's own."""

from typing import Any

from rest_framework import exceptions, status


class Conflict(exceptions.APIException):
    """The request is right, but the state of the resource does not allow it."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "The resource is in a state that does not allow this."


class UnprocessableContent(exceptions.APIException):
    """The request is well formed, but contradicts itself or an earlier one."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unprocessable"
    default_detail = "The request cannot be followed."


class ContentTooLarge(exceptions.APIException):
    """The body is larger than the server takes."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "content_too_large"
    default_detail = "The body is too large."


class LengthRequired(exceptions.APIException):
    """The body came in chunks: its length is not known before it has been read."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "Send the body with a Content-Length, not in chunks."


class UnsupportedMediaType(exceptions.APIException):
    """The body is in a charset or encoding that is not accepted."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_media_type"
    default_detail = "A body is taken in UTF-8 and uncompressed."


class Temporary(exceptions.APIException):
    """The same request may succeed ``wait`` seconds later, which is sent as Retry-After."""

    wait = 5

    def __init__(self, detail: Any = None, code: str | None = None, *, wait: int = wait) -> None:
        super().__init__(detail, code)
        self.wait = wait


class TooManyRequests(Temporary):
    """The client has reached a limit, for now.

    DRF's Throttled would add when the next request is going to succeed. Here nobody knows that.
    """

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "throttled"
    default_detail = "Too many requests."


class ServiceUnavailable(Temporary):
    """A part of the service is away, or has too much to do."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    default_detail = "The service is not available at the moment. Please try again."


class InternalError(exceptions.APIException):
    """An error of the server. The log tells more, under the id of the request."""

    default_code = "internal_error"
    default_detail = "Something went wrong on our side. The request's id helps us to find out what."
