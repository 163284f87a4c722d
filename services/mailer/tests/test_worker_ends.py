"""A worker that is stopped, killed or cut off while a mail is on its way."""

import signal
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from contracts.events import TaskError, TaskState
from local.servers.broker import Broker

from .conftest import StartServer, StartWorker
from .delivering import MAIL, RESENT, SENT, another_mail, message_ids
from .scripted_server import HANG, ScriptedServer
from .web import Web


@pytest.fixture
def server(smtp_server: StartServer) -> ScriptedServer:
    """Start a server that does not answer its first mail until it is released."""
    return smtp_server(END=[HANG])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_without_work_ends_at_once(
    web: Web, server: ScriptedServer, start_worker: StartWorker, number: signal.Signals
) -> None:
    worker = start_worker(server)
    worker.await_log("ready.")
    worker.send(number)
    assert worker.await_end() == 0


def test_a_worker_shows_that_it_is_alive_until_it_ends(
    web: Web, server: ScriptedServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    sign_of_life = tmp_path / "alive"
    worker = start_worker(server, LIVENESS_FILE=str(sign_of_life))
    web.until(sign_of_life.exists)
    worker.send(signal.SIGTERM)
    assert worker.await_end() == 0
    assert not sign_of_life.exists()


def test_a_request_whose_results_nobody_would_get_waits_until_somebody_does(
    web: Web, server: ScriptedServer, start_worker: StartWorker
) -> None:
    server.script["END"] = []
    worker = start_worker(server)
    web.stop_taking_results()
    mails = [another_mail(f"e-{number}") for number in range(3)]  # more than there are threads
    task_ids = [web.ask(mail) for mail in mails]
    worker.await_log("result not delivered yet")
    assert server.mails == []
    web.take_results()
    for task_id in task_ids:
        web.await_receipt(task_id)
    assert sorted(server.message_ids()) == message_ids("e-0", "e-1", "e-2")
    assert web.dead == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_stopped_finishes_its_mail_and_takes_no_other(
    web: Web, server: ScriptedServer, start_worker: StartWorker, number: signal.Signals
) -> None:
    worker = start_worker(server)
    task_id = web.ask(MAIL)
    web.until(lambda: server.mails)
    worker.send(number)
    worker.send(number)  # some supervisors say it twice
    worker.await_log("finishing what is running")
    server.released.set()
    assert worker.await_end() == 0
    assert web.await_receipt(task_id) == SENT
    assert web.waiting() == 0
    assert "Traceback" not in worker.log


def test_a_worker_that_cannot_finish_in_time_leaves_its_mail_to_the_next(
    web: Web, server: ScriptedServer, start_worker: StartWorker
) -> None:
    worker = start_worker(server, SHUTDOWN_TIMEOUT="0.5")
    task_id = web.ask(MAIL)
    web.until(lambda: server.mails)
    worker.send(signal.SIGTERM)
    assert worker.await_end() == 1
    assert "left with tasks running" in worker.log
    returned = web.await_state(task_id, TaskState.RETRY)
    assert returned.error == TaskError("TaskReturnedError", "its worker was stopped")
    assert web.waiting() == 0
    start_worker(server)
    assert web.await_receipt(web.ask(MAIL)) == RESENT  # as web's outbox does
    assert server.message_ids() == [SENT.message_id] * 2


def test_a_killed_worker_leaves_its_mail_to_the_next(
    web: Web, server: ScriptedServer, start_worker: StartWorker
) -> None:
    worker = start_worker(server)
    task_id = web.ask(MAIL)
    web.until(lambda: server.mails)
    worker.kill()
    start_worker(server)
    assert web.await_receipt(task_id, attempt=2) == RESENT
    assert web.states(task_id) == [
        (TaskState.STARTED, 1),
        (TaskState.STARTED, 2),
        (TaskState.SUCCESS, 2),
    ]


def test_a_worker_whose_broker_connection_is_cut_sends_its_mail_once(
    web: Web, server: ScriptedServer, start_worker: StartWorker, broker: Broker
) -> None:
    start_worker(server)
    task_id = web.ask(MAIL)
    web.until(lambda: server.mails)
    cut_connections(web, broker)
    web.await_state(task_id, TaskState.STARTED, attempt=2)  # while the first run still sends
    server.released.set()
    assert web.await_receipt(task_id, attempt=1) == SENT
    assert web.await_receipt(task_id, attempt=2) == SENT
    assert len(server.mails) == 1


def cut_connections(web: Web, broker: Broker) -> None:
    """Let the broker close the worker's connection, once its management knows of it."""
    with httpx.Client(base_url=broker.settings.management_url, trust_env=False) as management:

        def connections() -> list[str]:
            consumers = management.get(f"consumers/{web.vhost}").raise_for_status().json()
            return [
                consumer["channel_details"]["connection_name"]
                for consumer in consumers
                if consumer["queue"]["name"] == "mailer" and consumer["channel_details"]
            ]

        web.until(connections)
        for name in connections():
            management.delete(f"connections/{quote(name)}").raise_for_status()


def test_celerys_own_command_starts_the_same_worker(
    web: Web, server: ScriptedServer, start_worker: StartWorker
) -> None:
    server.script["END"] = []
    command = (sys.executable, "-m", "celery", "--app=mailer.app", "worker")
    worker = start_worker(server, *command)
    assert web.await_receipt(web.ask(MAIL)) == SENT
    worker.send(signal.SIGTERM)
    assert worker.await_end() == 0
