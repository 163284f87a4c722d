"""A worker that cannot start says why, in words for an operator."""

from pathlib import Path

import pytest
from kombu import Connection

from contracts import topology
from local.servers.broker import Broker
from tests.support.program import Program

from .conftest import MAILER, StartServer, StartWorker
from .delivering import MAIL_FROM
from .scripted_server import ScriptedServer


@pytest.fixture
def server(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


def test_missing_settings_are_named(tmp_path: Path) -> None:
    worker = Program(MAILER, tmp_path / "log", {"MAIL_FROM": MAIL_FROM})
    assert worker.await_end() == 78
    assert worker.log.startswith("mailer: the settings are not right:")
    for name in ("BROKER_URL", "LEDGER_URL", "SMTP_URL"):
        assert f"{name} is missing. Example: {name}=" in worker.log
    assert "Traceback" not in worker.log


def test_a_topology_that_nobody_has_declared_is_told_and_waited_for(
    server: ScriptedServer, broker_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(server)
    worker.await_log("queue 'mailer' is missing")
    with Connection(broker_url) as connection:
        topology.declare(connection)
    worker.await_log(" ready.")
    assert "Traceback" not in worker.log


def test_a_ledger_that_does_not_answer_is_told(
    server: ScriptedServer, start_worker: StartWorker
) -> None:
    nowhere = "postgresql://mailer:planted@127.0.0.1:1/mailer"
    worker = start_worker(server, LEDGER_URL=nowhere, LEDGER_WAIT="0.5")
    assert worker.await_end() == 1
    assert "the ledger's database did not let us in for 0.5 s; see LEDGER_URL" in worker.log
    assert "Connection refused" in worker.log
    assert "planted" not in worker.log
    assert "Traceback" not in worker.log


def test_a_broker_that_lets_nobody_in_is_told(
    server: ScriptedServer, start_worker: StartWorker, broker_url: str, broker: Broker
) -> None:
    wrong = broker_url.replace(broker.settings.password, "planted")
    worker = start_worker(server, BROKER_URL=wrong)
    assert worker.await_end() == 78
    assert "mailer: BROKER_URL is wrong: ACCESS_REFUSED" in worker.log
    assert "planted" not in worker.log
    assert "Traceback" not in worker.log


def test_a_broker_that_is_away_is_waited_for_and_told(
    server: ScriptedServer, start_worker: StartWorker
) -> None:
    worker = start_worker(server, BROKER_URL="amqp://mailer:planted@127.0.0.1:1/warren")
    worker.await_log("broker not reachable")
    assert "planted" not in worker.log
