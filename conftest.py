"""One private RabbitMQ node and one PostgreSQL cluster for the whole test run."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import django
import pytest

from local import packages
from local.broker import Broker
from local.database import Database
from local.environment import process_environment
from local.settings import Settings
from local.throwaway import throwaway_settings

CHECKOUT = Path(__file__).parent
PACKAGES = CHECKOUT / ".local" / "packages"


INSTALLATION = throwaway_settings(CHECKOUT)
# Now, because the conftest modules of web already import what needs Django's settings.
os.environ |= process_environment(INSTALLATION, os.environ) | {
    "DJANGO_SETTINGS_MODULE": "web.settings"
}
django.setup()


@pytest.fixture(scope="session")
def installation() -> Settings:
    """Ports, passwords and addresses of this test run."""
    return INSTALLATION


@pytest.fixture(scope="session")
def broker(installation: Settings) -> Iterator[Broker]:
    """Run a RabbitMQ node; tests isolate themselves by a vhost."""
    node = Broker(installation.broker, packages.rabbitmq(PACKAGES, print))
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def database(installation: Settings) -> Iterator[Database]:
    """Run a PostgreSQL cluster with the roles of web and mailer, which may make databases."""
    roles = tuple(replace(role, creates_databases=True) for role in installation.database.roles)
    cluster = Database(
        replace(installation.database, roles=roles), packages.postgresql(PACKAGES, print)
    )
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database: Database) -> None:
    """Start PostgreSQL before pytest-django makes web's test database in it."""
