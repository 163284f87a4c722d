"""How the worker starts, and how it refuses to."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local.servers.broker import Broker
from tests.support.program import Program

from .client import Client
from .conftest import StartWorker
from .worker_process import OWN_PACKAGE

EX_CONFIG = 78
NOWHERE = "amqp://user:planted@127.0.0.1:1/warren"


@pytest.fixture
def undeclared(broker: Broker) -> Iterator[str]:
    """Make a vhost in which no topology is declared."""
    name = "compute-undeclared"
    yield broker.create_vhost(name)
    broker.delete_vhost(name)


def refusal(**environment: str) -> str:
    """Start the worker, which must refuse; returns what it says."""
    process = subprocess.run(
        [sys.executable, "-m", "compute"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(OWN_PACKAGE)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == EX_CONFIG
    assert "Traceback" not in process.stderr
    assert "planted" not in process.stderr
    return process.stderr


def test_missing_and_wrong_settings_are_named() -> None:
    message = refusal(CONCURRENCY="many")

    assert "BROKER_URL is missing. Example: BROKER_URL=amqp://" in message
    assert "CONCURRENCY='many' is wrong" in message


def test_a_module_that_cannot_be_imported_is_named() -> None:
    message = refusal(BROKER_URL=NOWHERE, COMPUTE_MODULES="acme.computations")

    assert "'acme.computations' of COMPUTE_MODULES cannot be imported" in message


def test_a_function_that_cannot_be_a_computation_is_named() -> None:
    message = refusal(BROKER_URL=NOWHERE, COMPUTE_MODULES="broken_computations")

    assert "broken_computations.mumble cannot be a computation: it has no docstring" in message


def test_celerys_own_command_works_too(undeclared: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "celery", "-A", "compute.app", "worker", "-c", "1"]
    with (
        closing(Client(undeclared)) as client,
        Program(command, tmp_path / "log", {"BROKER_URL": undeclared}),
    ):
        answer = client.outcome(client.compute("add", {"x": 1, "y": 2}))

    assert answer.result == 3


def test_the_catalogue_is_announced_now_and_then(client: Client, start_worker: StartWorker) -> None:
    worker = start_worker(COMPUTE_ANNOUNCE_INTERVAL="0.2")
    node = f"compute-{worker.pid}@"

    def announcements() -> list[float]:
        return [c.at.timestamp() for c in client.catalogues if c.worker.startswith(node)]

    client.until(lambda: len(announcements()) >= 4, "four announcements")

    assert announcements() == sorted(set(announcements()))
