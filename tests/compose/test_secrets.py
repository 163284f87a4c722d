"""Secrets by file: made once, replaced one by one, and none may be missing or an example."""

from pathlib import Path

import pytest

from .client import User, result_of_a_task
from .composition import Composition

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
ONCE = ("run", "--rm", "--no-deps", "-T")


@pytest.mark.parametrize(
    ("service", "missing"),
    [("mailer", "mailer_broker_url"), ("web", "django_secret_key"), ("proxy", "flower_basic_auth")],
)
def test_a_missing_secret_stops_the_start_with_its_name(
    composition: Composition, secrets_folder: Path, service: str, missing: str
) -> None:
    (secrets_folder / missing).unlink()

    start = composition.try_compose(*ONCE, service, secrets=secrets_folder)

    assert start.returncode != 0
    assert missing in start.stderr


def test_outside_development_nothing_starts_with_an_example(composition: Composition) -> None:
    start = composition.try_compose(*ONCE, "-e", "WARREN_ENVIRONMENT=production", "mailer")

    assert start.returncode != 0
    assert "SMTP_URL is wrong: it is an example" in start.stdout + start.stderr


def test_an_empty_secret_is_refused_by_the_name_of_its_setting(
    composition: Composition, secrets_folder: Path
) -> None:
    (secrets_folder / "django_secret_key").write_text("")

    start = composition.try_compose(*ONCE, "web", secrets=secrets_folder)

    assert start.returncode != 0
    assert "DJANGO_SECRET_KEY is missing" in start.stdout + start.stderr


def test_secrets_are_made_once(composition: Composition) -> None:
    before = {path.name: path.read_text() for path in composition.secrets.iterdir()}
    composition.create_secrets()

    assert {path.name: path.read_text() for path in composition.secrets.iterdir()} == before
    assert composition.secrets.stat().st_mode & 0o777 == 0o700


def test_a_new_password_of_the_broker_needs_no_restart_of_it(
    composition: Composition, user: User
) -> None:
    """As docs/operations.md tells."""
    composition.create_secrets("rabbitmq_compute_password")
    definitions = "/run/secrets/rabbitmq_definitions.json"
    composition.run_in("rabbitmq", "rabbitmqctl", "--quiet", "import_definitions", definitions)
    composition.compose("up", "--wait", "--no-deps", "--force-recreate", "compute")

    assert user.result(user.submit("add", x=1, y=1))["result"] == 2


def test_a_new_password_of_the_database_needs_no_restart_of_it(
    composition: Composition, user: User
) -> None:
    composition.create_secrets("postgres_warren_password")
    composition.run_in("postgres", "/docker-entrypoint-initdb.d/10-roles.sh")
    services = composition.services_with("database_url")
    assert {"web", "tasks"} <= services
    composition.compose("up", "--wait", "--no-deps", "--force-recreate", *services - {"migrate"})

    assert user.result(user.submit("add", x=2, y=1))["result"] == 3
    assert result_of_a_task(composition)
