"""The servers of a test run, each started by the first test that needs it; and who runs which test.

Every process of pytest-xdist has servers of its own.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck

from local.servers import packages
from local.servers.broker import Broker
from local.servers.database import Database
from local.settings import Settings
from tests.support.installation import installation_of_this_process

CHECKOUT = Path(__file__).parent
PACKAGES = CHECKOUT / ".local" / "packages"

pytest_plugins = ["tests.support.distribution"]
# How long an example takes is a matter of what else the machine does. Fixtures serve all examples
# of a test: those that need a clean state make it themselves.
hypothesis.settings.register_profile(
    "warren",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("warren")


@pytest.fixture(scope="session")
def installation() -> Settings:
    """Ports, passwords and addresses of this test run."""
    return installation_of_this_process(CHECKOUT)


@pytest.fixture(scope="session")
def broker(installation: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run a RabbitMQ node; tests isolate themselves by a vhost."""
    node = Broker(installation.broker, packages.rabbitmq(PACKAGES, print))
    node.start()
    yield node
    node.stop()
    shutil.copy(node.log, tmp_path_factory.getbasetemp() / "rabbitmq.log")


@pytest.fixture(scope="session")
def database(
    installation: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Run a PostgreSQL cluster with the roles of web and mailer, which may make databases."""
    roles = tuple(replace(role, creates_databases=True) for role in installation.database.roles)
    cluster = Database(
        replace(installation.database, roles=roles), packages.postgresql(PACKAGES, print)
    )
    cluster.start()
    yield cluster
    cluster.stop()
    shutil.copy(cluster.log, tmp_path_factory.getbasetemp() / "postgresql.log")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Say where the logs are, if anybody may want them."""
    if exitstatus == pytest.ExitCode.TESTS_FAILED:
        folder = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        terminalreporter.write_line(f"The logs of all processes are in {folder}")
