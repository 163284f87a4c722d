"""The settings in `.env`, checked and typed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local import env_file
from local.errors import LocalError
from local.servers.broker_node import BrokerSettings
from local.servers.database import DatabaseSettings, Role

VHOST = "warren"
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- for those that mean all addresses
PORTS = (
    "WEB_PORT",
    "FLOWER_PORT",
    "RABBITMQ_PORT",
    "RABBITMQ_MANAGEMENT_PORT",
    "RABBITMQ_PROMETHEUS_PORT",
    "RABBITMQ_DIST_PORT",
    "RABBITMQ_EPMD_PORT",
    "POSTGRES_PORT",
    "SMTP_PORT",
)


def local_folder(root: Path) -> Path:
    """Return the folder for everything that is written in the checkout `root`."""
    return root / ".local"


@dataclass(frozen=True)
class Settings:
    """The settings of one checkout. Everything that it writes lies in `local`."""

    root: Path
    variables: Mapping[str, str]
    ports: Mapping[str, int]

    @classmethod
    def load(cls, root: Path, environment: Mapping[str, str]) -> "Settings":
        """Read `.env` in the checkout `root`; `environment` overrides it. Raises LocalError."""
        variables = env_file.read_or_create(root)
        names = env_file.known(root) | variables.keys()
        variables |= {name: environment[name] for name in names if name in environment}
        env_file.warn_of_misspelt(names, environment)
        return cls(root, variables, {name: _port(name, variables) for name in PORTS})

    @property
    def local(self) -> Path:
        return local_folder(self.root)

    @property
    def mails(self) -> Path:
        return self.local / "mails"

    @property
    def logs(self) -> Path:
        return self.local / "log"

    @property
    def web_host(self) -> str:
        """The host, as URLs have it, at which programs on this machine reach web."""
        host = self.variables.get("WEB_HOST") or "127.0.0.1"
        host = LOOPBACK.get(host, host)
        return f"[{host}]" if ":" in host else host

    @property
    def web_url(self) -> str:
        return f"http://{self.web_host}:{self.ports['WEB_PORT']}"

    @property
    def flower_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['FLOWER_PORT']}"

    @property
    def broker(self) -> BrokerSettings:
        return BrokerSettings(
            directory=self.local / "rabbitmq",
            amqp_port=self.ports["RABBITMQ_PORT"],
            management_port=self.ports["RABBITMQ_MANAGEMENT_PORT"],
            prometheus_port=self.ports["RABBITMQ_PROMETHEUS_PORT"],
            distribution_port=self.ports["RABBITMQ_DIST_PORT"],
            epmd_port=self.ports["RABBITMQ_EPMD_PORT"],
            vhost=VHOST,
            user=self.variables["RABBITMQ_USER"],
            password=self.variables["RABBITMQ_PASSWORD"],
        )

    @property
    def database(self) -> DatabaseSettings:
        roles = (
            Role("warren", self.variables["POSTGRES_WARREN_PASSWORD"]),
            Role("mailer", self.variables["POSTGRES_MAILER_PASSWORD"]),
        )
        return DatabaseSettings(self.local / "postgres", self.ports["POSTGRES_PORT"], roles)


def _port(name: str, variables: Mapping[str, str]) -> int:
    text = variables[name]
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise LocalError(f"{name}={text!r} is not a port: it must be from 1 to 65535.")
    return int(text)
