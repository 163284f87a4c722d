"""Where the faults happen: the whole of Warren, every connection of it on a link of ours."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from local.servers.broker import Broker
from local.servers.database import Database
from local.settings import Settings
from tests.faults import audit
from tests.support.api import Account as User
from tests.support.api import connect
from tests.support.management import Management
from tests.support.process import CHECKOUT, Process
from tests.support.small_disk import SmallDisk
from tests.support.stack import Stack
from tests.support.wrong_clock import wrong_clock

from .link import Link, Network

PACKAGES = CHECKOUT / ".local/packages"
TICK = 0.1  # seconds between two looks at the processes
# Short enough that recovery is not a matter of waiting for the next try of a mail or a job.
PAUSES = {
    "MAIL_RETRY_FIRST": "1",
    "MAIL_RETRY_LONGEST": "8",
    "JOB_RETRY_FIRST": "1",
    "JOB_RETRY_LONGEST": "8",
    "OUTBOX_LEASE": "20",
    "SHUTDOWN_TIMEOUT": "10",
    "CONCURRENCY": "4",
}
# The settings by which a process finds each server.
ADDRESSES = {
    "BROKER_URL": "broker",
    "DATABASE_URL": "database",
    "LEDGER_URL": "database",
    "SMTP_URL": "smtp",
}


class Stage:
    """Runs Warren as a supervisor would: whatever ends is started again."""

    def __init__(
        self, settings: Settings, broker: Broker, database: Database, directory: Path, seed: int
    ) -> None:
        """Start nothing yet."""
        self.network = Network()
        self.random = Random(seed)
        self.problems: list[str] = []
        self.exits = 0
        self.long = True
        self.disk: SmallDisk | None = None  # of the database, if it has one of its own
        self._links: dict[tuple[str, str], Link] = {}
        self._ports = {
            "broker": settings.broker.amqp_port,
            "database": settings.database.port,
            "smtp": settings.ports["SMTP_PORT"],
        }
        self.stack = Stack(settings, broker, database, directory, self._wire)
        self.management = Management(settings.broker.management_url)
        self._http = connect(settings.web_url)
        self.directory = directory
        self._down: set[object] = set()
        self._twins: list[Process] = []

    def start(self) -> None:
        """Start everything, and register a user of the stage's own."""
        self.stack.start()
        audit.begin(self.stack)
        self.user = User.register(self._http)
        self.user.move_in(self.stack.smtp)

    def stop(self) -> None:
        """Stop everything."""
        self.network.heal()
        for twin in self._twins:
            twin.stop()
        self.stack.stop()
        self._http.close()
        self.management.close()
        self.network.close()

    @property
    def processes(self) -> list[Process]:
        """All of Warren's own."""
        return [*self.stack.plain, *self._twins]

    def link(self, process: str, server: str) -> Link:
        """The connection from a process to ``broker``, ``database`` or ``smtp``."""
        return self._links[process, server]

    def links(self, server: str) -> list[Link]:
        """The connections of all processes to a server."""
        return [link for (_, target), link in self._links.items() if target == server]

    def wait(self, seconds: float) -> None:
        """Let time pass, and start again what ends meanwhile."""
        self._keep_until(time.monotonic() + seconds, lambda: False)

    def until(self, reached: Callable[[], object], what: str, seconds: float = 60.0) -> bool:
        """Wait for something; if it does not happen, that is a problem."""
        if self._keep_until(time.monotonic() + seconds, reached):
            return True
        self.problems.append(f"{what} did not happen in {seconds:.0f} s")
        return False

    def lasting(self, long: float, short: float = 4.0) -> None:
        """Let a fault last, in the short form of the suite for less time."""
        self.wait(long if self.long else short)

    @contextmanager
    def away(self, *parts: Process | Broker | Database) -> Iterator[None]:
        """Let nobody start these again meanwhile."""
        self._down.update(parts)
        try:
            yield
        finally:
            self._down.difference_update(parts)

    def twin(self, process: Process) -> Process:
        """Start one more process of a kind."""
        twin = process.twin(str(len(self._twins) + 2))
        twin.launch()
        self._twins.append(twin)
        return twin

    def dismiss(self, twin: Process) -> None:
        """End it in order, for good."""
        with self.away(twin):
            twin.stop()
            self._twins.remove(twin)

    def kill(self, process: Process) -> None:
        """End a process and its children at once; it is started again."""
        process.kill()
        process.launch()

    def clock_off_by(self, seconds: int) -> dict[str, str]:
        """Make the environment of a process whose clock is so much too fast, or too slow."""
        return wrong_clock(seconds, self.stack.environment)

    def _keep_until(self, deadline: float, reached: Callable[[], object]) -> bool:
        while not reached():
            if time.monotonic() > deadline:
                return False
            self._keep()
            time.sleep(TICK)
        return True

    def _keep(self) -> None:
        for server in (self.stack.broker, self.stack.database):
            if server not in self._down and not server.running:
                self.exits += 1
                server.start()
        for process in self.processes:
            if process not in self._down and not process.running:
                self.exits += 1
                process.launch()

    def _wire(self, process: str, environment: dict[str, str]) -> dict[str, str]:
        wired = environment | PAUSES
        for setting, server in ADDRESSES.items():
            if urlsplit(wired.get(setting, "")).port == self._ports[server]:
                link = self._link(process, server)
                wired[setting] = wired[setting].replace(
                    f":{self._ports[server]}", f":{link.port}", 1
                )
        return wired

    def _link(self, process: str, server: str) -> Link:
        name = f"{process} → {server}"
        if (process, server) not in self._links:
            self._links[process, server] = self.network.link(name, self._ports[server])
        return self._links[process, server]
