"""The bodies of requests: those that are read, and how the others are refused."""

import gzip
import io
import json
import sys

import pytest
from django.test import Client
from pytest_django import Settings

from web.parsing import StrictJSONParser
from web.problems.tests.asking import JSON, check, post

pytestmark = pytest.mark.django_db
UTF_8 = ["utf-8", "UTF8", '"utf-8"', "us-ascii"]
OTHERS = ["punycode", "zlib", "idna", "utf-7", "utf-16", "latin-1", "rot13", "unknown", "undefined"]


def test_wrong_fields_are_named_one_by_one() -> None:
    problem = check(post("{}"), 400, "invalid")
    assert problem["instance"] == "/api/v1/users"
    assert problem["detail"] == "email: This field is required."
    assert problem["errors"] == [
        {"field": "email", "code": "required", "detail": "This field is required."},
        {"field": "password", "code": "required", "detail": "This field is required."},
    ]


def test_a_field_that_is_not_known_is_named_with_those_that_are() -> None:
    body = {"email": "ada@example.org", "password": "correct horse battery", "passwort": "x"}
    [error] = check(post(json.dumps(body)), 400, "invalid")["errors"]
    assert error == {
        "field": "passwort", "code": "unknown",
        "detail": "There is no such field; there is email, password.",
    }  # fmt: skip


def test_a_body_that_is_no_object_is_an_error_of_the_whole() -> None:
    problem = check(post("[1]"), 400, "invalid")
    assert [error["field"] for error in problem["errors"]] == [""]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"\xff\xfe",
        b'{"email": "\\u0000"}',
        b'{"email": "\\ud800"}',
        b'{"email": NaN}',
        b'{"email": 1e999}',
        b'{"email": ' + b"9" * 5000 + b"}",
        b"[" * 10_000,
        b"[" * 101 + b"]" * 101,
        b'{"a\\u0000": 1}',
    ],
    ids=["cut", "empty", "bytes", "NUL", "surrogate", "NaN", "float", "int", "deep", "101", "key"],
)
def test_what_is_no_json_or_cannot_be_stored_is_refused(body: bytes) -> None:
    answer = post(body)
    assert answer.status_code == 400
    check(answer, 400, answer.json()["code"])
    assert answer.json()["code"] == ("invalid" if body == b"" else "parse_error")


@pytest.mark.parametrize("body", [b"[" * 100 + b"]" * 100, '{"email": "\\\\u0000 é 😀"}'.encode()])
def test_what_only_looks_dangerous_is_read(body: bytes) -> None:
    assert post(body).json()["code"] == "invalid"


def test_other_media_types_are_refused() -> None:
    check(post("email=ada", "application/x-www-form-urlencoded"), 415, "unsupported_media_type")


@pytest.mark.parametrize("charset", UTF_8)
def test_a_body_in_utf_8_may_say_so(charset: str) -> None:
    check(post("{}", f"application/json; charset={charset}"), 400, "invalid")


@pytest.mark.parametrize("charset", OTHERS)
@pytest.mark.parametrize(
    ("method", "path", "media_type"),
    [
        ("POST", "/api/v1/users", "application/json"),
        ("POST", "/api/v1/nothing", "application/json"),
        ("GET", "/api/v1/jobs", "application/json"),
        ("POST", "/verify", "application/x-www-form-urlencoded"),
        ("POST", "/admin/login/", "multipart/form-data; boundary=x"),
        ("GET", "/healthz", "text/plain"),
    ],
)
def test_a_header_chooses_no_codec(method: str, path: str, media_type: str, charset: str) -> None:
    body = b"x" * 1000
    answer = Client().generic(method, path, body, f"{media_type}; charset={charset}")
    check(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/users", "/api/v1/users/verify", "/api/v1/users/verify/resend", "/verify",
        "/api/v1/auth/token", "/api/v1/auth/token/refresh", "/verify/resend", "/admin/login/",
    ],
)  # fmt: skip
def test_whoever_has_no_token_sends_little(path: str) -> None:
    answer = Client().generic("POST", path, b" " * (16 * 1024 + 1), JSON)
    assert check(answer, 413, "content_too_large")["detail"] == (
        "A body may have up to 16,384 bytes here."
    )


def test_a_body_that_is_too_large_is_refused_before_it_is_read(settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    problem = check(post(json.dumps({"email": "x" * 100})), 413, "content_too_large")
    assert "100 bytes" in problem["detail"]


def test_a_body_in_chunks_is_refused_rather_than_taken_for_empty() -> None:
    answer = post("{}", headers={"transfer-encoding": "chunked"})
    check(answer, 411, "length_required")


def test_a_compressed_body_is_refused() -> None:
    answer = post(gzip.compress(b"{}", mtime=0), headers={"Content-Encoding": "gzip"})
    check(answer, 415, "unsupported_media_type")


def calls(depth: int) -> int:
    """Count the function calls that it takes to read 2,000 strings at a depth."""
    body = io.BytesIO(b"[" * depth + b'"x",' * 2_000 + b'""' + b"]" * depth)
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)
    try:
        StrictJSONParser().parse(body)
    finally:
        sys.setprofile(None)
    return counted


def test_reading_a_body_costs_what_its_length_costs_however_it_is_nested() -> None:
    assert calls(depth=99) < calls(depth=1) + 1_000
