"""What a worker leaves in the broker: nothing, since the topology has one owner."""

import sys
from pathlib import Path

import httpx
from kombu import Connection

from contracts import topology
from local.servers.broker import Broker
from tests.support.program import Program

VHOST = "declared-queues"
PROGRAM = """
from runtime.environment import Environment
from worker.app import WorkerSettings, create_app
from worker.main import run

run(create_app("mailer", WorkerSettings.read(Environment(), concurrency=1), pool="threads"))
"""


def test_a_worker_declares_no_durable_queue(broker: Broker, tmp_path: Path) -> None:
    url = broker.create_vhost(VHOST)
    with Connection(url) as connection:
        topology.declare(connection)
    command = [sys.executable, "-c", PROGRAM]
    with Program(command, tmp_path / "log", {"BROKER_URL": url}) as worker:
        worker.await_log(" ready.")
        assert _durable_queues(broker) == {queue.name for queue in topology.QUEUES}
    broker.delete_vhost(VHOST)


def _durable_queues(broker: Broker) -> set[str]:
    answer = httpx.get(f"{broker.settings.management_url}queues/{VHOST}", trust_env=False)
    return {queue["name"] for queue in answer.raise_for_status().json() if queue["durable"]}
