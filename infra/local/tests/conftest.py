from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ports import free_ports
from local.servers import packages
from local.servers.broker import Broker
from local.servers.broker_node import BrokerSettings
from local.servers.database import Database, DatabaseSettings, Role

PACKAGES = Path(__file__).parents[3] / ".local/packages"


@pytest.fixture(scope="session")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node for these tests alone, which kill it."""
    directory = tmp_path_factory.mktemp("own-rabbitmq")
    amqp, management, prometheus, distribution, epmd = free_ports(5)
    settings = BrokerSettings(
        directory=directory,
        amqp_port=amqp,
        management_port=management,
        prometheus_port=prometheus,
        distribution_port=distribution,
        epmd_port=epmd,
        vhost="own",
        user="owner",
        password="pass/word@1",
    )
    broker = Broker(settings, packages.rabbitmq(PACKAGES, print))
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def own_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A cluster for these tests alone, which kill it."""
    directory = tmp_path_factory.mktemp("own-postgres")
    roles = (Role("first", "pass'word"), Role("second", "pass/word@2"))
    settings = DatabaseSettings(directory, free_ports(1)[0], roles)
    database = Database(settings, packages.postgresql(PACKAGES, print))
    yield database
    database.stop()
