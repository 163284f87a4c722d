"""Scripts of other origins: the listed ones may read the API's answers, and nothing else."""

import pytest
from django.test import Client
from pytest_django import Settings

from web.cors import origins

ORIGIN = "https://app.example.org"


@pytest.fixture(autouse=True)
def _listed(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]


def test_a_listed_origin_may_ask_with_a_token_and_a_key() -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    answer = Client().options("/api/v1/jobs", headers=asked)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in answer["Access-Control-Allow-Methods"]
    for name in ("authorization", "content-type", "idempotency-key"):
        assert name in answer["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/nothing", "/api/v1/auth/token"])
def test_it_may_read_errors_too(path: str) -> None:
    answer = Client().get(path, headers={"Origin": ORIGIN})
    assert answer.status_code in (401, 404, 405)
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert "retry-after" in answer["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin",
    ["https://example.org", "http://app.example.org", "https://app.example.org.evil.org", "null"],
)
def test_others_may_not(origin: str) -> None:
    answer = Client().get("/api/v1/jobs", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.parametrize("path", ["/verify", "/password", "/problems", "/healthz"])
def test_pages_are_read_by_no_script_of_elsewhere(path: str) -> None:
    answer = Client().get(path, headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in answer


def test_origins_are_read() -> None:
    assert origins("none") == []
    assert origins(" https://a.example.org, http://localhost:3000 ,") == [
        "https://a.example.org",
        "http://localhost:3000",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("*", "example.org", "ftp://example.org", "https://", "https://example.org/"),
        *("https://Example.org", "https://u:p@example.org", "https://example.org?x=1"),
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"origin|scheme"):
        origins(text)
