"""One private RabbitMQ node and one PostgreSQL cluster for the whole test run."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local import packages
from local.broker import Broker
from local.broker_node import BrokerSettings
from local.database import Database, DatabaseSettings, Role

PACKAGES = Path(__file__).parent / ".local" / "packages"


def free_ports(count: int) -> list[int]:
    """Find ports on loopback that nobody uses at this moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run a RabbitMQ node; tests isolate themselves by a vhost."""
    amqp, management, prometheus, distribution, epmd = free_ports(5)
    settings = BrokerSettings(
        directory=tmp_path_factory.mktemp("rabbitmq"),
        amqp_port=amqp,
        management_port=management,
        prometheus_port=prometheus,
        distribution_port=distribution,
        epmd_port=epmd,
        vhost="warren",
        user="warren",
        password=secrets.token_hex(16),
    )
    node = Broker(settings, packages.rabbitmq(PACKAGES, print))
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Run a PostgreSQL cluster with the roles of web and mailer."""
    settings = DatabaseSettings(
        directory=tmp_path_factory.mktemp("postgres"),
        port=free_ports(1)[0],
        roles=tuple(
            Role(name, secrets.token_hex(16), creates_databases=True)
            for name in ("warren", "mailer")
        ),
    )
    cluster = Database(settings, packages.postgresql(PACKAGES, print))
    cluster.start()
    yield cluster
    cluster.stop()
