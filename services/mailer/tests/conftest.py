"""Real SMTP servers and a fresh ledger database for each test."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from local.database import Database

from .scripted_server import Action, ScriptedServer

StartServer = Callable[..., ScriptedServer]


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
