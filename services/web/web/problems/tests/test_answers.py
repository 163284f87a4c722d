"""Whatever goes wrong, the answer is one kind of document."""

import gzip
import io
import json
import sys
from typing import Any

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from web.accounts.tests.factories import client_of, make_user
from web.parsing import StrictJSONParser
from web.problems.catalogue import MEANINGS
from web.problems.document import MEDIA_TYPE
from web.rates import Rate

JSON = "application/json"
pytestmark = pytest.mark.django_db


def check(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer["Content-Type"] == MEDIA_TYPE
    problem: dict[str, Any] = answer.json()
    assert set(problem) == {
        "type", "title", "status", "detail", "instance", "code", "errors", "request_id",
    }  # fmt: skip
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"{settings.PUBLIC_URL}/problems#{code}"
    assert problem["request_id"] == answer["X-Request-ID"]
    assert problem["detail"]
    assert problem["title"]
    return problem


def post(body: bytes | str, content_type: str = JSON, **extra: Any) -> Any:
    return Client().generic(
        "POST", "/api/v1/users", body, content_type, headers=extra.pop("headers", None), **extra
    )


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


UTF_8 = ["utf-8", "UTF8", '"utf-8"', "us-ascii"]
OTHERS = ["punycode", "zlib", "idna", "utf-7", "utf-16", "latin-1", "rot13", "unknown", "undefined"]


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


def test_nobody_keeps_what_the_api_answers() -> None:
    client = client_of(make_user())
    assert client.get("/api/v1/users/me")["Cache-Control"] == "no-store"
    assert post("{}")["Cache-Control"] == "no-store"


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


@pytest.mark.parametrize(
    "address",
    [
        "/admin/jobs/job/?created_at__year=0",
        "/admin/jobs/job/?state__exact=%00",
        "/admin/mail/email/?created_at__year=99999999999",
        "/admin/accounts/user/?q=%00",
    ],
)
def test_a_value_in_an_address_that_the_database_has_not_is_no_error_of_ours(
    admin_client: Client, address: str
) -> None:
    assert admin_client.get(address).status_code in (200, 302, 400)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/problems", "/staff/flower"])
def test_what_is_only_read_allows_nothing_else(method: str, path: str) -> None:
    assert Client(enforce_csrf_checks=True).generic(method, path).status_code == 405


def test_other_answers_than_json_are_refused() -> None:
    answer = Client().get("/api/v1/users/me", headers={"accept": "text/csv"})
    check(answer, 406, "not_acceptable")


def test_methods_that_are_not_known_are_refused_with_those_that_are() -> None:
    answer = Client().put("/api/v1/users")
    check(answer, 405, "method_not_allowed")
    assert "POST" in answer["Allow"]


@pytest.mark.parametrize("address", ["/api/nothing", "/api/v1/users/", "/api/v1/nothing?x=%00"])
def test_addresses_that_do_not_exist_are_not_found(address: str) -> None:
    check(Client().get(address), 404, "not_found")


def test_people_get_a_page_instead() -> None:
    answer = Client().get("/nothing")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_a_wrong_host_is_refused() -> None:
    answer = Client().get("/api/v1/users/me", headers={"host": "evil.example"})
    assert "ALLOWED_HOSTS" in check(answer, 400, "bad_request")["detail"]


def test_a_token_that_is_not_valid_is_told_how_to_get_another() -> None:
    answer = Client().get("/api/v1/users/me", headers={"authorization": "Bearer e30.e30.e30"})
    assert "POST /api/v1/auth/token/refresh" in check(answer, 401, "token_not_valid")["detail"]


@pytest.mark.parametrize("address", ["/api/v1", "/api/docs", "/api/schema", "/admin"])
def test_an_address_is_found_without_its_last_slash(address: str) -> None:
    answer = Client().get(address)
    assert (answer.status_code, answer["Location"]) == (302, f"{address}/")
    assert Client().post(address).status_code == 405


def test_the_index_leads_to_all_there_is() -> None:
    found = Client().get("/api/v1/").json()
    assert found["jobs"] == "http://testserver/api/v1/jobs"
    assert {Client().get(address).status_code for address in found.values()} == {200, 401, 405}


def test_a_body_that_is_too_large_is_refused_before_it_is_read(settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    problem = check(post(json.dumps({"email": "x" * 100})), 413, "content_too_large")
    assert "100 bytes" in problem["detail"]


def test_a_body_in_chunks_is_refused_rather_than_taken_for_empty() -> None:
    answer = post("{}", headers={"transfer-encoding": "chunked"})
    check(answer, 411, "length_required")


def test_too_many_requests_are_told_when_to_come_back(settings: Settings) -> None:
    settings.THROTTLE_REGISTRATION = Rate(1, seconds=60)
    post("{}")
    answer = post("{}")
    check(answer, 429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 60


@pytest.mark.parametrize(
    "error", [OperationalError("connection refused"), InterfaceError("closed")]
)
@pytest.mark.parametrize("place", ["web.accounts.limits.consume", "web.messaging.outbox.send"])
def test_an_absent_database_is_nobodys_fault_and_passes(
    error: Exception, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(place, fail)
    answer = post('{"email": "ada@example.org", "password": "correct horse battery"}')
    problem = check(answer, 503, "unavailable")
    assert int(answer["Retry-After"]) > 0
    assert str(error) not in problem["detail"]


def test_an_absent_database_is_told_to_people_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError

    monkeypatch.setattr("web.accounts.limits.consume", fail)
    answer = Client().post("/verify", {"key": "x"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer["Content-Type"].startswith("text/plain")


def test_an_absent_database_shows_even_where_no_view_is_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError

    middleware = "django.middleware.common.CommonMiddleware.process_request"
    monkeypatch.setattr(middleware, fail)
    client = Client(raise_request_exception=False)
    check(client.get("/api/v1/users/me"), 503, "unavailable")
    assert client.get("/verify").status_code == 503


def test_every_kind_of_problem_is_explained_where_its_type_points_to() -> None:
    page = Client().get("/problems").content.decode()
    assert all(f'id="{code}"' in page for code in MEANINGS)


def test_a_page_size_or_cursor_that_makes_no_sense_is_refused() -> None:
    api: APIClient = client_of(make_user())
    for query, field in [
        ("page_size=0", "page_size"),
        ("page_size=201", "page_size"),
        ("page_size=ten", "page_size"),
        ("page_size=²", "page_size"),
        ("cursor=x", "cursor"),
        ("cursor=cD1ub3cgb3IgbmV2ZXI=", "cursor"),  # p=now or never
        ("cursor=cD0yMDI2LTEzLTQ1VDAwOjAwOjAwWg==", "cursor"),  # p=2026-13-45T00:00:00Z
        ("cursor=cD0yMDI2LTAxLTAxIDAwOjAwOjAw", "cursor"),  # p=2026-01-01 00:00:00
    ]:
        problem = check(api.get(f"/api/v1/mails?{query}"), 400, "invalid")
        assert [error["field"] for error in problem["errors"]] == [field], query
