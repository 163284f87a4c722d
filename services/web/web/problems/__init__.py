"""Errors of the API as problem details (RFC 9457), always in the same form.

Source: https://www.rfc-editor.org/rfc/rfc9457
"""

from web.problems.exceptions import (
    Conflict,
    ServiceUnavailable,
    TooManyRequests,
    UnprocessableContent,
)
from web.problems.handlers import exception_handler

__all__ = [
    "Conflict",
    "ServiceUnavailable",
    "TooManyRequests",
    "UnprocessableContent",
    "exception_handler",
]
