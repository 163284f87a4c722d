"""Django for the tests of web, on the servers of the test run."""

import os
import sys
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
os.environ |= process_environment(INSTALLATION, os.environ)
os.environ["DJANGO_SETTINGS_MODULE"] = "web.settings"
# The example is tested beside whatever apps the checkout has.
own_apps = os.environ["EXTRA_APPS"]
os.environ["EXTRA_APPS"] = ",".join(sorted({"notes", *filter(None, own_apps.split(","))}))
sys.path.append(str(Path(__file__).parents[2] / "examples"))
django.setup()
# Else the processes of pytest-xdist would inherit it, and read the settings before their own ports;
# and those that tests start have only the apps of the checkout.
del os.environ["DJANGO_SETTINGS_MODULE"]
os.environ["EXTRA_APPS"] = own_apps

from django.db import connections  # noqa: E402 -- after the settings

from web.accounts.hashing import Argon2  # noqa: E402
from web.tasks.application import app  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _no_database_unless_asked_for(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Do what pytest-django does at once where Django is set up before anything is collected."""
    with django_db_blocker.block():
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database: Database) -> None:
    """Start PostgreSQL before pytest-django makes web's test database in it."""


@pytest.fixture(scope="module", autouse=True)
def _no_connection_left_open() -> Iterator[None]:
    """Close them, for the tests of another service may stop the database before web's next ones."""
    yield
    connections.close_all()


@pytest.fixture(autouse=True)
def _webs_application() -> None:
    """Make web's Celery application the current one: whoever makes another leaves that behind."""
    app.set_current()


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> None:
    """Hash as always, at the lowest cost that Argon2 knows."""
    Argon2.time_cost, Argon2.memory_cost = 1, 8
