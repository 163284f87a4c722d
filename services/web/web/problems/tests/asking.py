"""Requests that go wrong, and the document that answers them."""

from typing import Any

from django.conf import settings
from django.test import Client

from web.problems.document import MEDIA_TYPE

JSON = "application/json"


def check(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Check that a problem document answers, and return it."""
    assert (answer.status_code, answer["Content-Type"]) == (status, MEDIA_TYPE), answer.content
    problem: dict[str, Any] = answer.json()
    assert set(problem) == {
        "type", "title", "status", "detail", "instance", "code", "errors", "request_id",
    }, problem  # fmt: skip
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["type"] == f"{settings.PUBLIC_URL}/problems#{code}", problem
    assert problem["request_id"] == answer["X-Request-ID"], problem
    assert problem["detail"], problem
    assert problem["title"], problem
    return problem


def post(body: bytes | str, content_type: str = JSON, **extra: Any) -> Any:
    return Client().generic("POST", "/api/v1/users", body, content_type, **extra)
