"""From an error to the JSON document of its problem (RFC 9457)."""

from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

from django.conf import settings
from rest_framework.exceptions import APIException, ValidationError

from web import request_id
from web.problems.catalogue import MEANINGS, title

MEDIA_TYPE = "application/problem+json"
INVALID = "invalid"
MOST_ERRORS = 21  # entries of ``errors``: twenty, and perhaps one that says there are more


def describe(error: APIException, path: str) -> dict[str, Any]:
    """Return the members of the document for an error in the request for ``path``."""
    invalid = isinstance(error, ValidationError)
    errors = list(islice(_fields(error.get_full_details()), MOST_ERRORS)) if invalid else []
    detail, code = _summary(error, errors)
    return {
        "type": f"{settings.PUBLIC_URL}/problems#{code}" if code in MEANINGS else "about:blank",
        "title": title(code) if code in MEANINGS else HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "detail": detail,
        "instance": path,
        "code": code,
        "errors": errors,
        "request_id": request_id.current(),
    }


def _summary(error: APIException, errors: list[dict[str, str]]) -> tuple[str, str]:
    if errors:
        first = errors[0]
        return f"{first['field']}: {first['detail']}".removeprefix(": "), INVALID
    # simplejwt's errors hold a dictionary of code and detail. MEANINGS also names a way out.
    detail: Any = error.detail
    if isinstance(detail, dict):
        code = str(detail["code"])
        return MEANINGS.get(code, str(detail["detail"])), code
    return str(detail), str(error.get_codes())


def _fields(details: Any, path: tuple[str, ...] = ()) -> Iterator[dict[str, str]]:
    """Flatten DRF's nested details to one entry per error, with a dotted path to its field."""
    if isinstance(details, list):
        for index, entry in enumerate(details):
            # A list of nested items has an entry per item; a list of messages belongs to one field.
            nested = not _is_message(entry)
            yield from _fields(entry, (*path, str(index)) if nested else path)
    elif _is_message(details):
        yield {
            "field": ".".join(path),
            "code": str(details["code"]),
            "detail": str(details["message"]),
        }
    else:
        for name, entry in details.items():
            yield from _fields(entry, path if name == "non_field_errors" else (*path, str(name)))


def _is_message(details: Any) -> bool:
    return isinstance(details, dict) and set(details) == {"message", "code"}
