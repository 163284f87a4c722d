"""The description of the API is complete, valid and shown without help from other servers."""

import re
from io import StringIO
from typing import Any

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from openapi_spec_validator import validate

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    output = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=output)
    loaded: dict[str, Any] = yaml.safe_load(output.getvalue())
    return loaded


def operations(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def test_the_description_is_valid_and_made_without_a_warning(schema: dict[str, Any]) -> None:
    validate(schema)
    assert len(operations(schema)) >= 14


def test_every_operation_says_what_it_does_and_what_may_go_wrong(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        assert operation["summary"], name
        assert operation["description"], name
        problems = [status for status in operation["responses"] if status >= "400"]
        assert "503" in problems, name
        for status in problems:
            content = operation["responses"][status]["content"]
            assert list(content) == ["application/problem+json"], (name, status)
        assert ("400" in problems) == _takes_input(operation), name


def test_only_accounts_are_open_to_everybody(schema: dict[str, Any]) -> None:
    is_open = {name for name, operation in operations(schema) if operation["security"] == [{}]}
    assert is_open == {
        "POST /api/v1/users",
        "POST /api/v1/users/verify",
        "POST /api/v1/users/verify/resend",
        "POST /api/v1/auth/token",
        "POST /api/v1/auth/token/refresh",
    }
    scheme = schema["components"]["securitySchemes"]["jwtAuth"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_passwords_and_keys_are_only_taken_never_given(schema: dict[str, Any]) -> None:
    for name, component in schema["components"]["schemas"].items():
        for field, description in component.get("properties", {}).items():
            if field in ("password", "key"):
                assert description["writeOnly"], name


@pytest.mark.django_db
def test_the_documentation_loads_nothing_from_elsewhere_and_runs_nothing_inline() -> None:
    client = Client()
    page = client.get("/", follow=True)
    assert page.redirect_chain == [("/api/docs/", 302)]
    html = page.content.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(addresses) >= 4
    assert all(address.startswith("/") for address in addresses)
    assert not re.findall(r"<script(?![^>]*src=)[^>]*>", html)
    assert "script-src" not in page["Content-Security-Policy"]  # default-src 'self' holds for it
    for address in addresses:
        if address.startswith("/static/"):
            assert finders.find(address.removeprefix("/static/")), address
    script = client.get(next(address for address in addresses if "script" in address))
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/schema/" in script.content.decode()


def test_the_description_is_served(schema: dict[str, Any]) -> None:
    answer = Client().get("/api/schema/")
    assert answer.status_code == 200
    assert yaml.safe_load(answer.content) == schema


def _takes_input(operation: dict[str, Any]) -> bool:
    in_query = any(parameter["in"] == "query" for parameter in operation.get("parameters", []))
    return in_query or "requestBody" in operation
