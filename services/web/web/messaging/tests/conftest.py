"""A job, and a virtual host of the real broker for each test that needs one."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from kombu import Connection

from contracts import topology
from local.servers.broker import Broker
from web.jobs.models import Job
from web.jobs.tests.factories import make_job, make_user
from web.messaging.broker.client import app
from web.messaging.tests.staffing import consume, report


@pytest.fixture
def job(db: None) -> Job:
    return make_job(make_user())


@pytest.fixture
def amqp(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """Connect to a new virtual host with the topology declared; web's Celery app uses it too."""
    vhost = f"web-{uuid.uuid4().hex[:8]}"
    url = broker.create_vhost(vhost)
    monkeypatch.setattr(app.conf, "broker_url", url)
    monkeypatch.setattr(app.conf, "broker_read_url", url)
    monkeypatch.setattr(app.conf, "broker_write_url", url)
    with Connection(url) as connection:
        topology.declare(connection)
        yield connection
    broker.delete_vhost(vhost)


@pytest.fixture
def staffed(amqp: Connection, db: None) -> Iterator[Connection]:
    """A broker with workers that report; each queue has a consumer that takes one message."""
    with ExitStack() as consuming:
        for queue in topology.QUEUES:
            consume(consuming, amqp, queue.name)
        for service in topology.SERVICES:
            report(service)
        yield amqp
