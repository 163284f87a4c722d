"""RabbitMQ's settings and users of the containers, on the RabbitMQ of this machine."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from kombu import Connection

from local.ports import free_ports
from local.servers import broker_node, packages
from local.servers.broker import Broker
from local.settings import Settings

from .support.polling import poll
from .support.process import CHECKOUT

RABBITMQ = CHECKOUT / "infra/rabbitmq"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What ``make secrets`` makes, in a folder that was there before."""
    program, folder = CHECKOUT / "infra/secrets/create_secrets.py", tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    command = [sys.executable, str(program), str(folder), str(RABBITMQ / "definitions.json")]
    subprocess.run(command, check=True)
    return folder


def test_the_folder_of_the_secrets_is_for_its_owner_alone(secrets: Path) -> None:
    assert secrets.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def node(
    installation: Settings, secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Broker]:
    """A node with rabbitmq.conf, which says nothing of ports."""
    names = ("amqp_port", "management_port", "prometheus_port", "distribution_port", "epmd_port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    settings = replace(installation.broker, directory=tmp_path / "rabbitmq", **ports)  # type: ignore[arg-type]  # all are ports
    shared = (RABBITMQ / "rabbitmq.conf").read_text().replace("/run/secrets", str(secrets))
    own = [line for line in broker_node._configuration(settings).splitlines() if ".port" in line]
    listeners = f"listeners.tcp.default = 127.0.0.1:{settings.amqp_port}"
    whole = "\n".join([shared, listeners, *own, ""])
    monkeypatch.setattr(broker_node, "_configuration", lambda _: whole)
    started = Broker(settings, packages.rabbitmq(CHECKOUT / ".local/packages", print))
    started.launch()
    yield started
    started.stop()


def test_rabbitmq_takes_the_configuration_and_the_users(node: Broker, secrets: Path) -> None:
    ports = node.settings
    address = (secrets / "mailer_broker_url").read_text()
    here = address.replace("@rabbitmq:5672", f"@127.0.0.1:{ports.amqp_port}")

    def signs_in() -> bool:
        try:
            with Connection(here) as connection:
                connection.connect()
        except OSError:
            return False
        return True

    poll(signs_in, what="RabbitMQ", explain=lambda: node.log.read_text()[-2000:])
    overview = f"http://127.0.0.1:{ports.management_port}/rabbitmq/api/overview"
    account = ("monitoring", (secrets / "rabbitmq_monitoring_password").read_text())
    answer = httpx.get(overview, auth=account, trust_env=False, timeout=10)

    assert answer.status_code == 200
    assert httpx.get(overview, auth=("guest", "guest"), trust_env=False).status_code == 401
