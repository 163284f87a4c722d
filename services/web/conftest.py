"""Django for the tests of web, on the servers of the test run."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from pytest_django import DjangoDbBlocker

from local.environment import process_environment
from local.servers.database import Database
from tests.support.installation import installation_of_this_process

# Here at the top: the tests import web's modules, which read Django's settings at once.
INSTALLATION = installation_of_this_process(Path(__file__).parents[2])
os.environ |= process_environment(INSTALLATION, os.environ)
os.environ["DJANGO_SETTINGS_MODULE"] = "web.settings"
# The example app is tested beside the apps that the checkout has of its own.
own_apps = os.environ["EXTRA_APPS"]
os.environ["EXTRA_APPS"] = ",".join(sorted({"notes", *filter(None, own_apps.split(","))}))
sys.path.append(str(Path(__file__).parents[2] / "examples"))
django.setup()
# Processes of pytest-xdist must not inherit the module's name: they would read the settings before
# they have their own ports. Processes that tests start get only the checkout's apps.
del os.environ["DJANGO_SETTINGS_MODULE"]
os.environ["EXTRA_APPS"] = own_apps

from django.contrib import admin  # noqa: E402 -- after the settings
from django.db import connections  # noqa: E402

from web import recent  # noqa: E402
from web.accounts.hashing import Argon2  # noqa: E402
from web.accounts.limits import advance  # noqa: E402
from web.tasks.application import app  # noqa: E402

admin.autodiscover()  # as web's urls.py does: some tests are made for each page of it


@pytest.fixture(scope="session", autouse=True)
def _no_database_unless_asked_for(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Forbid the database to tests that do not ask for it.

    pytest-django does so only where it sets up Django itself, before collection.
    """
    with django_db_blocker.block():
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database: Database) -> None:
    """Start PostgreSQL before pytest-django makes web's test database in it."""


@pytest.fixture(scope="module", autouse=True)
def _no_connection_left_open() -> Iterator[None]:
    """Close all connections: tests of another service may stop the database in between."""
    yield
    connections.close_all()


@pytest.fixture(autouse=True)
def _webs_application() -> None:
    """Make web's Celery application the current one: a test may have left another behind."""
    app.set_current()


@pytest.fixture(autouse=True)
def _nothing_read_before() -> None:
    """Begin each test as a process that has just started."""
    recent.forget_all()
    advance.forget()


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> None:
    """Hash passwords at the lowest cost that Argon2 allows."""
    Argon2.time_cost, Argon2.memory_cost = 1, 8
