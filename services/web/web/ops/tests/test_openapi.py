"""The description of the API is complete, valid and shown without help from other servers."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from openapi_spec_validator import validate

from local.settings import Settings
from web.accounts.models import User
from web.accounts.tests.factories import access_token
from web.jobs.tests.factories import make_computation, make_job
from web.messaging.tests.factories import dead_message, save
from web.ops import documentation
from web.ops.tests.server import Server, url_of_test_database

# What is longer is refused by gunicorn itself, with a 414.
SHORT_ADDRESSES = """
from urllib.parse import urlencode
import schemathesis

@schemathesis.hook
def filter_query(context, query):
    return len(urlencode(query or {}, doseq=True)) < 3000
"""
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
        "GET /api/v1/registrations/{id}",
        "POST /api/v1/users/verify",
        "POST /api/v1/users/verify/resend",
        "POST /api/v1/auth/password/reset",
        "POST /api/v1/auth/password/reset/confirm",
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


@pytest.mark.parametrize("query", ["version=a%0d%0ab", "version=%ff", "lang=xx"])
def test_no_parameter_changes_the_description(schema: dict[str, Any], query: str) -> None:
    answer = Client().get(f"/api/schema/?{query}")
    assert yaml.safe_load(answer.content) == schema
    assert Client().get(f"/api/docs/?{query}").status_code == 200


def test_the_description_is_made_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documentation, "_made", {})
    made: list[Any] = []
    make: Any = SchemaGenerator.get_schema

    def counted(self: SchemaGenerator, **options: Any) -> Any:
        made.append(self)
        return make(self, **options)

    monkeypatch.setattr(SchemaGenerator, "get_schema", counted)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: Client().get("/api/schema/"), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len(made) == 1


def _takes_input(operation: dict[str, Any]) -> bool:
    in_query = any(parameter["in"] == "query" for parameter in operation.get("parameters", []))
    return in_query or "requestBody" in operation


@pytest.mark.django_db(transaction=True)
def test_every_answer_to_any_input_is_one_that_is_described(
    installation: Settings, tmp_path: Path
) -> None:
    ada = User.objects.create_superuser(email="ada@example.org")
    token = access_token(ada)
    make_computation()
    job = make_job(ada, state="succeeded")
    given = {"jobs": job.pk, "dead-letters": save(dead_message(job.pk)).pk}
    (tmp_path / "hooks.py").write_text(SHORT_ADDRESSES)
    (tmp_path / "schemathesis.toml").write_text(
        'hooks = "hooks"\n'
        + "\n".join(
            f'[[operations]]\ninclude-path-regex = "/{name}/"\nparameters = {{id = "{pk}"}}'
            for name, pk in given.items()
        )
    )
    url = url_of_test_database(installation)
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_headers_conformance,response_schema_conformance,unsupported_method"
    )
    with Server(tmp_path / "log", DATABASE_URL=url) as server:
        ended = subprocess.run(
            [
                *("st", "run", f"http://127.0.0.1:{server.port}/api/schema/", f"--checks={checks}"),
                *(f"--header=Authorization: Bearer {token}", "--phases=examples,coverage,fuzzing"),
                *("--max-examples=10", "--no-color", "--continue-on-failure"),
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
