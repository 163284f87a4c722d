"""All of Warren's processes, on the test run's own broker, databases and SMTP server."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from contracts.topology import SERVICES
from local.environment import process_environment
from local.run.supervisor import read_procfile
from local.servers.broker import Broker
from local.servers.database import Database
from local.settings import Settings

from . import broker_users
from .management import Management
from .measuring import coverage_settings
from .polling import DEADLINE, poll
from .process import CHECKOUT, Process
from .smtp_server import SmtpServer

# Short times, so that tests need not wait; throttles are far away from what tests do.
SETTINGS = {
    "LOG_FORMAT": "json",
    "CONCURRENCY": "2",
    "SHUTDOWN_TIMEOUT": "5",
    "MAIL_RETRY_FIRST": "0.2",
    "MAIL_RETRY_LONGEST": "0.5",
    "JOB_RETRY_FIRST": "0.2",
    "JOB_RETRY_LONGEST": "0.5",
    "OUTBOX_LEASE": "5",
    "REPORT_INTERVAL": "1",
    "RECONCILE_INTERVAL": "1",
    "RECONCILE_AFTER": "5",  # reports come late on a busy machine
    "COMPUTE_MODULES": "staged_computations",
    "PYTHONPATH": f"{CHECKOUT / 'tests/extra'}:{CHECKOUT / 'examples'}",
}

# Seconds for which a process of web that knows of an outage refuses requests unasked, and a little.
OUTAGE_PAUSE = 1.2

# Web publishes nothing itself, and so has no user of the broker.
NOBODY = "amqp://127.0.0.1:1/warren"

# Given the name of a process and its environment, the environment that it really gets.
Wiring = Callable[[str, dict[str, str]], dict[str, str]]


class Stack:
    """Started once for all tests; a test that stops a part of it starts that again."""

    def __init__(
        self,
        settings: Settings,
        broker: Broker,
        database: Database,
        directory: Path,
        wiring: Wiring = lambda _, environment: environment,
    ) -> None:
        self.settings = settings
        self.broker = broker
        self.database = database
        self.environment = (
            process_environment(settings, os.environ) | SETTINGS | coverage_settings()
        )
        own_apps = filter(None, self.environment["EXTRA_APPS"].split(","))
        self.environment["EXTRA_APPS"] = ",".join(sorted({"staged_shop", "notes", *own_apps}))
        self.smtp = SmtpServer(settings.ports["SMTP_PORT"])
        commands = read_procfile(CHECKOUT / "Procfile")

        self.broker_urls = users = self._broker_users()
        # Whatever manage.py is asked for: it declares the topology.
        self._owner = self.environment | {"BROKER_URL": users["topology"]}

        def process(name: str, ready: Callable[[Process], bool]) -> Process:
            restricted = self.environment | {"BROKER_URL": users.get(name, NOBODY)}
            return Process(name, commands[name], wiring(name, restricted), directory, ready)

        # Any of web's processes may answer, and each finds out by itself that the database is back.
        ready = f"{settings.web_url}/readyz"
        self.web = process("web", lambda _: all(answers(ready) for _ in range(10)))
        self.relay = process("relay", says("relay connected"))
        self.collector = process("collector", says("collector connected"))
        self.reconciler = process("reconciler", says("reconciler connected"))
        self.mailer = process("mailer", says(" ready."))
        self.compute = process("compute", says(" ready."))
        self.tasks = process("tasks", says(" ready."))
        others = sorted({*SERVICES} - {"mailer", "compute", "tasks"})
        self.other_workers = [process(name, says(" ready.")) for name in others]
        self.flower = process("flower", lambda _: answers(f"{settings.flower_url}/healthcheck"))

    def _broker_users(self) -> dict[str, str]:
        self.broker.start()
        management = Management(self.settings.broker.management_url)
        try:
            return broker_users.create(self.settings.broker, management, self.settings.broker.vhost)
        finally:
            management.close()

    def process(self, name: str) -> Process:
        """Find a process by its name in the Procfile."""
        return next(each for each in (*self.plain, self.flower) if each.name == name)

    @property
    def plain(self) -> tuple[Process, ...]:
        """The processes that every test may rely on."""
        workers = (self.mailer, self.compute, self.tasks, *self.other_workers)
        return self.web, self.relay, self.collector, self.reconciler, *workers

    def start(self) -> None:
        """Start everything but Flower."""
        self.smtp.start()
        for command in (("migrate", "--verbosity", "0"), ("declare_topology",)):
            self.manage(*command, check=True)
        for process in self.plain:
            process.launch()
        self.heal()
        poll(lambda: self.rows("SELECT name FROM jobs_computation"), what="catalogue")

    def start_database(self) -> None:
        """Start it, and wait until each of web's processes looks again instead of refusing."""
        self.database.start()
        looks_again = time.monotonic() + OUTAGE_PAUSE
        poll(lambda: time.monotonic() > looks_again, what="end of the pause")

    def heal(self) -> None:
        """Bring back whatever a test has ended or frozen."""
        self.broker.resume()
        self.broker.start()
        self.database.resume()
        if not self.database.running:
            self.start_database()
        self.smtp.open()
        for process in self.plain:
            if not process.running:
                process.launch()
        for process in self.plain:
            process.resume()
            process.wait_until_ready()

    def stop(self) -> None:
        """Stop everything, all at the same time."""
        processes = (*self.plain, self.flower)
        with ThreadPoolExecutor(len(processes)) as pool:
            list(pool.map(Process.stop, processes))
        self.smtp.stop()

    def manage(self, *command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command of ``manage.py``."""
        return run(["python", "services/web/manage.py", *command], self._owner, check=check)

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Look into web's database, at what no API shows."""
        with psycopg.connect(self.settings.database.url("warren"), row_factory=dict_row) as opened:
            return opened.execute(query, parameters).fetchall()

    def execute(self, statement: str) -> None:
        """Change something in web's database."""
        with psycopg.connect(self.settings.database.url("warren"), autocommit=True) as opened:
            opened.execute(statement)

    def poll(
        self,
        look: Callable[[], Any],
        wanted: Callable[[Any], object],
        what: str,
        deadline: float = DEADLINE,
    ) -> Any:
        """Wait, and show the ends of all logs when it was in vain."""
        return poll(look, wanted, what=what, explain=self.tails, deadline=deadline)

    def tails(self) -> str:
        """The ends of all logs."""
        return "\n".join(process.tail() for process in self.plain)


def run(
    command: list[str], environment: Mapping[str, str], *, check: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program in the checkout until it ends by itself."""
    program = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output, errors = program.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        program.terminate()
        output, errors = program.communicate()
        raise AssertionError(f"{command} did not end by itself:\n{output}{errors}") from None
    found = subprocess.CompletedProcess(command, program.returncode, output, errors)
    assert not check or found.returncode == 0, f"{command} failed:\n{found.stdout}{found.stderr}"
    return found


def answers(url: str) -> bool:
    """Whether a page can be had."""
    try:
        return httpx.get(url, timeout=10, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def says(words: str) -> Callable[[Process], bool]:
    """Whether a process, since it was last started, has logged something."""
    return lambda process: words in process.last_log
