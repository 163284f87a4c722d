"""The Celery application by which Flower finds the workers, and Flower's settings."""

import os
import sys
from dataclasses import dataclass
from logging import getLogger

from celery import Celery

from contracts import logging, topology
from contracts.errors import SettingsError
from contracts.settings import Environment
from contracts.worker import BROKER, broker_url


@dataclass(frozen=True)
class FlowerSettings:
    """What Flower reads from its environment."""

    broker_url: str
    broker_api: str
    basic_auth: str
    address: str
    port: int
    url_prefix: str
    log_format: str
    log_level: str

    @classmethod
    def read(cls, env: Environment) -> "FlowerSettings":
        """Read and check them. Raises SettingsError."""
        found = cls(
            broker_url=broker_url(env),
            broker_api=env.text(
                "RABBITMQ_MANAGEMENT_URL",
                example="http://user:password@localhost:15672/api/",
                default="",
            ),
            basic_auth=env.parsed(
                "FLOWER_BASIC_AUTH", _account, example="operator:password", placeholder=""
            ),
            address=env.text("FLOWER_ADDRESS", example="0.0.0.0", default="127.0.0.1"),  # noqa: S104
            port=env.integer("FLOWER_PORT", default=5555, minimum=1),
            url_prefix=env.text("FLOWER_URL_PREFIX", example="flower", default=""),
            log_format=env.choice("LOG_FORMAT", options=logging.FORMATS, default="json"),
            log_level=env.choice(
                "LOG_LEVEL", options=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO"
            ),
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

# Before Flower looks: Tornado adds a handler of its own only where there is none.
logging.configure("flower", log_format=settings.log_format, level=settings.log_level)

# Nobody has answered: as Flower starts, perhaps nobody listens yet, and who ends shows as offline.
getLogger("flower.inspector").addFilter(lambda record: record.msg != "Inspect method %s failed")

app = Celery("flower", broker=settings.broker_url)
app.conf.update(
    BROKER
    | {
        "task_queues": [topology.task_queue(service) for service in topology.SERVICES],
        "broker_connection_retry_on_startup": True,
    }
)
