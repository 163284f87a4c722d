"""Settings of the compute worker."""

from pathlib import Path

import pytest

from compute.config import Settings
from compute.limits import CONSUMER_TIMEOUT, Limits
from contracts.errors import SettingsError
from runtime.environment import Environment

BROKER = {"BROKER_URL": "amqp://user:long-and-random@localhost:5672/warren"}


def test_everything_but_the_broker_has_a_default() -> None:
    settings = Settings.read(Environment(BROKER))

    assert settings.limits == Limits(soft_time_limit=300, time_limit=310, memory_limit=512)
    assert settings.modules == ()
    assert settings.announce_interval == 300
    assert settings.result_limit == 256
    assert settings.worker.concurrency >= 1


def test_settings_are_read() -> None:
    settings = Settings.read(
        Environment(
            BROKER
            | {
                "CONCURRENCY": "3",
                "COMPUTE_TIME_LIMIT": "60",
                "COMPUTE_TIME_LIMIT_GRACE": "5",
                "COMPUTE_MEMORY_LIMIT": "1024",
                "COMPUTE_MODULES": "acme.computations, acme.more",
                "COMPUTE_ANNOUNCE_INTERVAL": "30",
            }
        )
    )

    assert settings.limits == Limits(soft_time_limit=60, time_limit=65, memory_limit=1024)
    assert settings.modules == ("acme.computations", "acme.more")
    assert settings.announce_interval == 30
    assert settings.worker.concurrency == 3


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read(Environment({"COMPUTE_TIME_LIMIT": "0", "COMPUTE_MEMORY_LIMIT": "lots"}))

    for name in ("BROKER_URL", "COMPUTE_TIME_LIMIT=", "COMPUTE_MEMORY_LIMIT="):
        assert name in str(caught.value)


@pytest.mark.parametrize("name", ["COMPUTE_TIME_LIMIT", "COMPUTE_TIME_LIMIT_GRACE"])
def test_a_limit_that_the_broker_would_not_wait_for_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}=.*at most"):
        Settings.read(Environment(BROKER | {name: "7000"}))


@pytest.mark.parametrize(
    "file", ["infra/rabbitmq/rabbitmq.conf", "infra/local/src/local/servers/broker_node.py"]
)
def test_the_broker_waits_as_long_as_is_believed_here(file: str) -> None:
    configuration = (Path(__file__).parents[3] / file).read_text(encoding="utf-8")
    assert f"consumer_timeout = {CONSUMER_TIMEOUT * 1000}\n" in configuration
