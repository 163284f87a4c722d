"""A bare worker for each of the pools."""

import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest

from contracts.tasks import RUN_COMPUTATION
from local.servers.broker import Broker
from tests.support.web import Web
from worker.pools import POOLS

from .messaging import BareWorker


@pytest.fixture(scope="module", params=POOLS)
def worker(
    request: pytest.FixtureRequest, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BareWorker]:
    """Run one worker for all tests of a module; it must survive them."""
    vhost = f"bare-{secrets.token_hex(4)}"
    url = broker.create_vhost(vhost)
    log = tmp_path_factory.mktemp("bare") / "worker.log"
    with (
        closing(Web(url, RUN_COMPUTATION)) as web,
        BareWorker(url, web, log, request.param) as started,
    ):
        started.await_log(" ready.")
        yield started
        assert started.alive, started.log
    broker.delete_vhost(vhost)
