"""Django for the tests of web, on the servers of the test run."""

import os
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from pytest_django import DjangoDbBlocker

from local.database import Database
from local.environment import process_environment
from local.throwaway import installation_of_this_process

# Now, because web's modules, which the tests import, read Django's settings.
INSTALLATION = installation_of_this_process(Path(__file__).parents[2])
os.environ |= process_environment(INSTALLATION, os.environ) | {
    "DJANGO_SETTINGS_MODULE": "web.settings"
}
django.setup()

from web.accounts.hashing import Argon2  # noqa: E402 -- after the settings


@pytest.fixture(scope="session", autouse=True)
def _no_database_unless_asked_for(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Do what pytest-django does at once where Django is set up before anything is collected."""
    with django_db_blocker.block():
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database: Database) -> None:
    """Start PostgreSQL before pytest-django makes web's test database in it."""


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> None:
    """Hash as always, at the lowest cost that Argon2 knows."""
    Argon2.time_cost, Argon2.memory_cost = 1, 8
