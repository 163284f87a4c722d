"""What a worker leaves in the broker: nothing, since the topology has one owner."""

import os
import subprocess
import sys

import httpx
from kombu import Connection

from contracts import topology
from local.broker import Broker

VHOST = "declared-queues"
PROGRAM = """
from contracts.settings import Environment
from contracts.worker import WorkerSettings, create_app, run

run(create_app("mailer", WorkerSettings.read(Environment(), concurrency=1)), pool="threads")
"""


def test_a_worker_declares_no_durable_queue(broker: Broker) -> None:
    url = broker.create_vhost(VHOST)
    with Connection(url) as connection:
        topology.declare(connection)
    worker = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": os.environ["PATH"], "BROKER_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _await_ready(worker)
        assert _durable_queues(broker) == {queue.name for queue in topology.QUEUES}
    finally:
        worker.kill()
        worker.communicate()
        broker.delete_vhost(VHOST)


def _await_ready(worker: subprocess.Popen[str]) -> None:
    log = []
    for line in worker.stderr or ():
        log.append(line)
        if " ready." in line:
            return
    raise AssertionError("".join(log))


def _durable_queues(broker: Broker) -> set[str]:
    answer = httpx.get(f"{broker.settings.management_url}queues/{VHOST}", trust_env=False)
    return {queue["name"] for queue in answer.raise_for_status().json() if queue["durable"]}
