"""The Celery application by which Flower finds the workers, and Flower's settings."""

import os
import sys
from dataclasses import dataclass, field
from logging import getLogger

from celery import Celery

from contracts import topology
from contracts.errors import SettingsError
from runtime import logging
from runtime import settings as common
from runtime.broker import CELERY
from runtime.environment import Environment


@dataclass(frozen=True)
class FlowerSettings:
    """The settings that Flower reads from its environment."""

    broker_url: str = field(repr=False)
    broker_api: str = field(repr=False)
    basic_auth: str = field(repr=False)
    address: str
    port: int
    url_prefix: str
    log_format: str
    log_level: str

    @classmethod
    def read(cls, env: Environment) -> "FlowerSettings":
        """Read and check them. Raises SettingsError, which names each that is wrong."""
        found = cls(
            broker_url=common.broker_url(env),
            broker_api=env.text(
                "RABBITMQ_MANAGEMENT_URL",
                example="http://user:password@localhost:15672/api/",
                default="",
                meaning="RabbitMQ's HTTP API, with user and password: shows queue lengths",
            ),
            basic_auth=env.parsed(
                "FLOWER_BASIC_AUTH",
                _account,
                example="operator:password",
                placeholder="",
                meaning="who may see Flower: 10 or more characters, all ASCII",
            ),
            address=env.text(
                "FLOWER_ADDRESS",
                example="0.0.0.0",  # noqa: S104
                default="127.0.0.1",
                meaning="where it listens",
            ),
            port=env.integer("FLOWER_PORT", default=5555, minimum=1, meaning="the port there"),
            url_prefix=env.text(
                "FLOWER_URL_PREFIX",
                example="flower",
                default="",
                meaning="path under which a proxy shows it",
            ),
            log_format=common.log_format(env),
            log_level=common.log_level(env),
        )
        env.check()
        return found


def _account(raw: str) -> str:
    if len(raw) < 10:
        raise ValueError("it must have at least 10 characters")
    if not raw.isascii():  # Flower would answer each sign-in with 500
        raise ValueError("user and password must be of ASCII characters alone")
    return raw


try:
    settings = FlowerSettings.read(Environment())
except SettingsError as error:
    sys.stderr.write(f"flower cannot start: {error}\n")
    sys.exit(os.EX_CONFIG)

# Before Flower starts: Tornado adds a handler of its own if it finds none.
logging.configure("flower", log_format=settings.log_format, level=settings.log_level)

# Drops Flower's line that no worker has answered. When Flower starts, perhaps none listens yet, and
# a worker that ends is shown as offline anyway.
getLogger("flower.inspector").addFilter(lambda record: record.msg != "Inspect method %s failed")

app = Celery("flower", broker=settings.broker_url)
app.conf.update(
    CELERY
    | {
        "task_queues": [topology.task_queue(service) for service in topology.SERVICES],
        "broker_connection_retry_on_startup": True,
    }
)
