"""Real SMTP servers and a fresh ledger database for each test."""

import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.servers.broker import Broker
from local.servers.database import Database
from tests.support.program import Program

from .delivering import MAIL_FROM, Look, Post
from .scripted_server import Action, ScriptedServer
from .web import Web

MAILER = (sys.executable, "-m", "mailer")
StartServer = Callable[..., ScriptedServer]
StartWorker = Callable[..., Program]
StartPost = Callable[..., Post]


@pytest.fixture
def smtp_server() -> Iterator[StartServer]:
    """Start servers: ``smtp_server(RCPT=["450 later"])``; options of aiosmtpd go in ``options``."""
    with ExitStack() as running:

        def start(
            options: dict[str, Any] | None = None, **script: list[Action | None]
        ) -> ScriptedServer:
            server = ScriptedServer(script, **(options or {}))
            server.start()
            running.callback(server.stop)
            return server

        yield start


@pytest.fixture
def ledger_url(database: Database) -> Iterator[str]:
    """Make an empty database that belongs to the mailer's role."""
    name = f"mailer_{uuid.uuid4().hex}"
    yield database.create_database(name, owner="mailer")
    database.drop_database(name)


@pytest.fixture
def start_post(ledger_url: str, server: ScriptedServer) -> Iterator[StartPost]:
    """Start what a worker process has; with more servers and other settings if given."""
    started: list[Post] = []

    def start(*others: ScriptedServer, **options: Any) -> Post:
        ports = [each.port for each in (server, *others)]
        started.append(Post(ledger_url, *ports, **options))
        return started[-1]

    yield start
    server.released.set()
    for post in started:
        post.close()


@pytest.fixture
def post(start_post: StartPost) -> Post:
    return start_post()


@pytest.fixture
def look(ledger_url: str) -> Look:
    return Look(ledger_url)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@contextmanager
def empty_vhost(broker: Broker) -> Iterator[str]:
    """Make a vhost for a while; what is not acknowledged there meets no other test."""
    name = f"mailer-{uuid.uuid4().hex}"
    yield broker.create_vhost(name)
    broker.delete_vhost(name)


@pytest.fixture
def broker_url(broker: Broker) -> Iterator[str]:
    """Make an empty vhost."""
    with empty_vhost(broker) as url:
        yield url


@pytest.fixture
def web(broker_url: str) -> Iterator[Web]:
    """Declare the topology, and stand in for web."""
    with closing(Web(broker_url)) as connected:
        yield connected


@pytest.fixture
def start_worker(broker_url: str, ledger_url: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers: ``start_worker(server, SHUTDOWN_TIMEOUT="1")``."""
    with ExitStack() as running:

        def start(server: ScriptedServer, *command: str, **changes: str) -> Program:
            log = tmp_path / f"{uuid.uuid4().hex}.log"
            settings = worker_settings(broker_url, ledger_url, server.port) | changes
            worker = Program(command or MAILER, log, settings)
            running.callback(worker.kill)
            return worker

        yield start


def worker_settings(broker_url: str, ledger_url: str, smtp_port: int) -> dict[str, str]:
    """Everything that a worker reads from its environment."""
    return {
        "BROKER_URL": broker_url,
        "LEDGER_URL": ledger_url,
        "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "MAIL_FROM": MAIL_FROM,
        "CONCURRENCY": "2",
        "SHUTDOWN_TIMEOUT": "600",  # longer than any test waits
        "REPORT_INTERVAL": "1",
    }
