"""Flower as an operator finds it: in a quiet installation, and after workers have gone."""

import secrets
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from celery import Celery

from contracts import topology
from local.servers.broker import Broker
from runtime.broker import CELERY

from .support.polling import poll
from .support.process import CHECKOUT, Process
from .support.stack import Stack, run
from .support.wire import Wire


@pytest.fixture
def vhost(broker: Broker) -> Iterator[str]:
    """The address of a vhost with the topology, in which no worker is."""
    name = f"flower-{secrets.token_hex(4)}"
    url = broker.create_vhost(name)
    with Wire.open(url) as wire:
        topology.declare(wire.connection)
    yield url
    broker.delete_vhost(name)


@pytest.fixture
def process(stack: Stack, vhost: str) -> Iterator[Process]:
    """Flower in that vhost."""
    started = stack.flower.twin("alone")
    started.start(BROKER_URL=vhost)
    yield started
    started.kill()  # else it waits for answers that it no longer needs


@pytest.fixture
def flower(stack: Stack, process: Process) -> Iterator[httpx.Client]:
    """Its API, as an operator."""
    user, _, password = stack.environment["FLOWER_BASIC_AUTH"].partition(":")
    with httpx.Client(
        base_url=stack.settings.flower_url, auth=(user, password), timeout=60, trust_env=False
    ) as client:
        yield client


def test_that_no_worker_listens_yet_is_no_warning(process: Process, flower: httpx.Client) -> None:
    assert flower.get("/api/workers", params={"refresh": "1"}).json() == {}  # nobody has answered
    assert process.ready
    assert "warning" not in process.log
    assert "error" not in process.log


def test_a_worker_that_has_ended_is_not_shown_for_ever(flower: httpx.Client, vhost: str) -> None:
    def shown() -> list[Any]:
        found = flower.get("/workers", params={"json": "1"}).json()["data"]
        return [worker["hostname"] for worker in found]

    with Celery("gone", set_as_current=False) as app:
        app.conf.update(CELERY | {"broker_url": vhost})
        with app.connection() as connection, app.events.Dispatcher(connection, "gone@host") as told:
            told.send("worker-online")
            poll(shown, lambda found: found == ["gone@host"], what="worker in Flower")
            told.send("worker-offline", timestamp=time.time() - 3600)
            poll(shown, lambda found: found == [], what="end of it")


@pytest.mark.parametrize("account", ["operator:pass\u00e9word", "op\u00e9rator:password"])
def test_flower_does_not_start_with_an_account_that_could_never_sign_in(
    stack: Stack, account: str
) -> None:
    command = ["celery", "--workdir", str(CHECKOUT / "infra/flower"), "--app=flowerapp", "report"]
    ended = run(command, stack.environment | {"FLOWER_BASIC_AUTH": account})
    assert ended.returncode == 78
    assert "FLOWER_BASIC_AUTH is wrong: user and password must be of ASCII" in ended.stderr
    assert account not in ended.stderr
    assert "Traceback" not in ended.stderr
