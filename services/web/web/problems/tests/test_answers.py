"""Whatever goes wrong, the answer is one kind of document."""

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient
from structlog.testing import capture_logs

from runtime.rates import Rate
from web.accounts.tests.factories import client_of, make_user
from web.problems.catalogue import MEANINGS
from web.problems.tests.asking import check, post

pytestmark = pytest.mark.django_db


def test_nobody_keeps_what_the_api_answers() -> None:
    client = client_of(make_user())
    assert client.get("/api/v1/users/me")["Cache-Control"] == "no-store"
    assert post("{}")["Cache-Control"] == "no-store"


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


def test_too_many_requests_are_told_when_to_come_back(settings: Settings) -> None:
    settings.THROTTLE_REGISTRATION = Rate(1, seconds=60)
    post("{}")
    answer = post("{}")
    check(answer, 429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 60


@pytest.mark.parametrize(
    "error", [OperationalError("connection refused"), InterfaceError("closed")]
)
@pytest.mark.parametrize(
    "place", ["web.accounts.limits.consume", "web.messaging.outbox.outbox.send"]
)
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


@pytest.mark.parametrize("path", ["/api/v1/ops/dead-letters", "/admin/jobs/job/add/"])
def test_who_asked_for_what_is_not_theirs_is_told_in_the_log(path: str) -> None:
    user = make_user(staff=True)
    api = client_of(user)
    api.force_login(user)
    with capture_logs() as lines:
        assert Client().get(path).status_code in (302, 401)
        assert api.get(path).status_code == 403
    [told] = [line for line in lines if line["event"] == "refused"]
    assert (told["user"], told["path"]) == (str(user.pk), path)


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
