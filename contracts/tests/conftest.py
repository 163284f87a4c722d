"""A bare worker for each of the pools."""

import secrets
from collections.abc import Iterator

import pytest

from contracts import topology
from contracts.worker import POOLS
from local.broker import Broker
from tests.wire import Wire

from .messaging import BareWorker


@pytest.fixture(scope="module", params=POOLS)
def worker(
    request: pytest.FixtureRequest, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BareWorker]:
    """Run one worker for all tests of a module; it must survive them."""
    vhost = f"bare-{secrets.token_hex(4)}"
    url = broker.create_vhost(vhost)
    with Wire.open(url) as wire:
        topology.declare(wire.connection)
        log = tmp_path_factory.mktemp("bare") / "worker.log"
        started = BareWorker(url, wire, log, request.param)
        try:
            started.wait_until_ready()
            yield started
            assert started.alive, started.log
        finally:
            started.kill()
    broker.delete_vhost(vhost)
