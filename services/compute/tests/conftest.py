"""A vhost with Warren's topology, a client in web's place, and real workers."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from local.servers.broker import Broker

from .client import Client
from .worker_process import WorkerProcess

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture(scope="module")
def broker_url(broker: Broker) -> Iterator[str]:
    """Make an empty vhost for the tests of a module."""
    name = f"compute-{uuid.uuid4().hex}"
    yield broker.create_vhost(name)
    broker.delete_vhost(name)


@pytest.fixture(scope="module")
def client(broker_url: str) -> Iterator[Client]:
    """Declare the topology, and read everything that comes home."""
    with closing(Client(broker_url)) as connected:
        yield connected


@pytest.fixture(scope="module")
def worker(
    client: Client, broker_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    """Run one worker with one pool process for all tests of a module; it must survive them."""
    log = tmp_path_factory.mktemp("worker") / "log"
    shared = WorkerProcess(client, broker_url, log)
    shared.wait_until_ready()
    yield shared
    assert shared.alive, f"the worker ended:\n{shared.log}"
    shared.kill()


@pytest.fixture
def start_worker(client: Client, broker_url: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers of the test's own: ``start_worker(CONCURRENCY="2")``."""
    with ExitStack() as running:

        def start(**environment: str) -> WorkerProcess:
            log = tmp_path / f"{uuid.uuid4().hex}.log"
            started = WorkerProcess(client, broker_url, log, **environment)
            running.callback(started.kill)
            started.wait_until_ready()
            return started

        yield start
