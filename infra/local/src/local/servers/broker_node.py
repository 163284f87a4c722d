"""The files and the environment that make a RabbitMQ node private to one directory."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from local.secret_file import write_secret
from local.servers.broker_plugins import PLUGINS, link_server
from local.servers.programs import RabbitMQ, library_environment

MEMORY_LIMIT = "512MB"
DISK_LIMIT = "50MB"  # publishers are blocked when less is free


@dataclass(frozen=True)
class BrokerSettings:
    """The folder, ports and user of one private node. All ports are on 127.0.0.1."""

    directory: Path
    amqp_port: int
    management_port: int
    prometheus_port: int
    distribution_port: int  # Erlang's own port between nodes and tools
    epmd_port: int  # the name service of Erlang nodes: a private one leaves the system's alone
    vhost: str
    user: str
    password: str

    @property
    def node(self) -> str:
        return "warren@localhost"

    @property
    def server(self) -> Path:
        return self.directory / "server"

    def url(self, vhost: str | None = None) -> str:
        """Return the AMQP address, with user and password, of this vhost or of another one."""
        name = quote(self.vhost if vhost is None else vhost, safe="")
        return f"amqp://{self._account}@127.0.0.1:{self.amqp_port}/{name}"

    @property
    def management_url(self) -> str:
        """The address of RabbitMQ's HTTP API, with user and password."""
        return f"http://{self._account}@127.0.0.1:{self.management_port}/api/"

    @property
    def _account(self) -> str:
        return f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"


def prepare(settings: BrokerSettings, programs: RabbitMQ) -> None:
    """Write the files that the node reads when it starts."""
    for name in ("home", "mnesia", "log", "config", "schema", "expanded-plugins"):
        (settings.directory / name).mkdir(parents=True, exist_ok=True)
    link_server(programs.home, settings.server)
    cookie = settings.directory / "home/.erlang.cookie"
    if not cookie.exists():
        write_secret(cookie, secrets.token_hex(20))
        cookie.chmod(0o400)  # Erlang refuses a cookie that others may read
    write_secret(settings.directory / "definitions.json", json.dumps(_definitions(settings)))
    (settings.directory / "rabbitmq.conf").write_text(_configuration(settings))
    (settings.directory / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].")
    (settings.directory / "advanced.config").write_text("[].")
    (settings.directory / "rabbitmq-env.conf").write_text("")


def environment(settings: BrokerSettings, programs: RabbitMQ) -> dict[str, str]:
    """Return the node's environment, with every path and port.

    If one were left out, the node would use the value of the system's node.
    """
    at = settings.directory
    return {
        "PATH": f"{programs.erlang}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": f"{at}/home",  # Erlang looks for its cookie here
        "ERL_EPMD_PORT": str(settings.epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # Makes the start script exec the node, so the node's pid is the one that was started.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_NODENAME": settings.node,
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(settings.amqp_port),
        "RABBITMQ_DIST_PORT": str(settings.distribution_port),
        "RABBITMQ_BASE": f"{at}",
        "RABBITMQ_MNESIA_BASE": f"{at}/mnesia",
        "RABBITMQ_LOG_BASE": f"{at}/log",
        "RABBITMQ_PID_FILE": f"{at}/node.pid",
        "RABBITMQ_FEATURE_FLAGS_FILE": f"{at}/feature_flags",
        "RABBITMQ_CONFIG_FILE": f"{at}/rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": f"{at}/advanced.config",
        "RABBITMQ_CONF_ENV_FILE": f"{at}/rabbitmq-env.conf",  # else the system's is read
        "RABBITMQ_GENERATED_CONFIG_DIR": f"{at}/config",
        "RABBITMQ_SCHEMA_DIR": f"{at}/schema",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{at}/enabled_plugins",
        "RABBITMQ_PLUGINS_DIR": f"{settings.server}/plugins",
        "RABBITMQ_PLUGINS_EXPAND_DIR": f"{at}/expanded-plugins",
        # Two scheduler threads are enough, and each more costs memory and time to start.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
        ),
        **library_environment(programs.libraries),
    }


def _configuration(settings: BrokerSettings) -> str:
    return f"""\
listeners.tcp.default = 127.0.0.1:{settings.amqp_port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {settings.management_port}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {settings.prometheus_port}
load_definitions = {settings.directory}/definitions.json
log.console = false
log.file.level = info
log.file.rotation.size = 10485760
log.file.rotation.count = 1

# Absolute, because many other programs share the machine's memory and disk.
vm_memory_high_watermark.absolute = {MEMORY_LIMIT}
disk_free_limit.absolute = {DISK_LIMIT}
# Quorum queues keep their log in memory up to this size; the default equals the limit above.
raft.wal_max_size_bytes = 32000000
# With late acknowledgement a worker holds a message while its task runs. After the default of half
# an hour the broker would take it away in the middle of a longer run. (Until 4.2 it closes the
# channel, from 4.3 on it cancels the consumer.)
consumer_timeout = 7200000
# Milliseconds: the management API and Flower show queue lengths that are at most so old.
collect_statistics_interval = 2000
"""


def _definitions(settings: BrokerSettings) -> dict[str, object]:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": settings.vhost}],
        "users": [
            {
                "name": settings.user,
                "password_hash": _hash(settings.password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "administrator",
            }
        ],
        "permissions": [{"user": settings.user, "vhost": settings.vhost, **everything}],
    }


def _hash(password: str) -> str:
    """Hash a password. See https://www.rabbitmq.com/docs/passwords#computing-password-hash."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
