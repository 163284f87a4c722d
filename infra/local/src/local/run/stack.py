"""The private servers that Warren's processes need, with its tables and queues in them."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local import ports
from local.environment import process_environment
from local.errors import LocalError
from local.servers import packages
from local.servers.apt import Report
from local.servers.broker import Broker
from local.servers.database import Database
from local.servers.keeper import Keeper
from local.settings import Settings


class Stack:
    """RabbitMQ and PostgreSQL of one checkout."""

    def __init__(self, settings: Settings, report: Report) -> None:
        """Find the servers' programs, or unpack them."""
        self._settings = settings
        self._report = report
        self.environment = process_environment(settings, os.environ)
        folder = settings.local / "packages"
        # For tests of a machine on which neither is installed.
        unpack = os.environ.get("WARREN_PACKAGES") == "unpack"
        rabbitmq = packages.rabbitmq(folder, report, unpack=unpack)
        postgresql = packages.postgresql(folder, report, unpack=unpack)
        self._broker = Broker(settings.broker, rabbitmq)
        self._database = Database(settings.database, postgresql)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start both, migrate, and declare the topology; always stop both in the end."""
        self.stop()  # servers that a killed run may have left
        ports.require_free(self._settings.ports)
        try:
            self._start()
            yield
        finally:
            self._report("stopping RabbitMQ and PostgreSQL")
            self.stop()

    def keepers(self, say: Callable[[str], None]) -> list[Keeper]:
        """Return the keepers, which start a server again that has died."""
        return [
            Keeper("RabbitMQ", self._broker, say),
            Keeper("PostgreSQL", self._database, say),
        ]

    def stop(self) -> None:
        self._broker.stop()
        self._database.stop()

    def _start(self) -> None:
        """Start RabbitMQ, which takes longest, first, and migrate meanwhile."""
        self._report("starting RabbitMQ and PostgreSQL")
        self._broker.launch()
        self._database.start()
        self._report("PostgreSQL is ready: migrating")
        migration = self._manage("migrate", "--no-input", "--verbosity", "0")
        self._broker.wait_until_ready()
        self._report("RabbitMQ is ready: declaring exchanges and queues")
        _finish(migration)
        _finish(self._manage("declare_topology"))

    def _manage(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["python", "services/web/manage.py", *arguments],
            env=self.environment,
            cwd=self._settings.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _finish(command: subprocess.Popen[str]) -> None:
    output, _ = command.communicate()
    if command.returncode:
        raise LocalError(f"A step of the start failed: {command.args!r}\n{output}")
