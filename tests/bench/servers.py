"""The broker and the database that all systems share, made for one run and gone afterwards."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from local.servers import packages
from local.servers.broker import Broker
from local.servers.database import Database
from local.settings import Settings
from tests.support.installation import throwaway_settings
from tests.support.process import CHECKOUT

from .usage import Parts

PACKAGES = CHECKOUT / ".local/packages"


@dataclass(frozen=True)
class Servers:
    """One RabbitMQ and one PostgreSQL, both as durable as Warren has them."""

    settings: Settings
    broker: Broker
    database: Database

    def parts(self) -> Parts:
        """Their processes."""
        return {"RabbitMQ": lambda: self.broker.pids, "PostgreSQL": lambda: self.database.pids}


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Run both."""
    settings = throwaway_settings(CHECKOUT)
    broker = Broker(settings.broker, packages.rabbitmq(PACKAGES, print))
    database = Database(settings.database, packages.postgresql(PACKAGES, print))
    with ExitStack() as ending:
        for server in (broker, database):
            ending.callback(server.stop)
            server.start()
        yield Servers(settings, broker, database)
