"""A private RabbitMQ node: it is started, stopped, and broken in all ways that tests need."""

import shutil
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx

from local.errors import LocalError
from local.servers import broker_node
from local.servers.broker_node import DISK_LIMIT, MEMORY_LIMIT, BrokerSettings
from local.servers.daemon import Daemon
from local.servers.plain_path import plain_path
from local.servers.programs import RabbitMQ

START_SECONDS = 90.0
STOP_SECONDS = 30.0
CALL_SECONDS = 30.0  # an Erlang VM starts slowly on a busy machine


class Broker:
    """One RabbitMQ node under one directory, with its own ports, cookie and epmd."""

    def __init__(self, settings: BrokerSettings, programs: RabbitMQ) -> None:
        self.settings = settings = replace(settings, directory=plain_path(settings.directory))
        self._programs = programs
        self._environment = broker_node.environment(settings, programs)
        self._epmd = Daemon("epmd", settings.directory)
        self._node = Daemon("rabbitmq", settings.directory, signal.SIGTERM)

    @property
    def log(self) -> Path:
        return self.settings.directory / "log" / f"{self.settings.node}.log"

    @property
    def running(self) -> bool:
        return self._node.running

    @property
    def pids(self) -> list[int]:
        """The node's process, and those that it has started."""
        return self._node.pids

    def launch(self) -> None:
        """Start the node without waiting, unless it runs. Call from the main thread."""
        if self.running:
            return
        broker_node.prepare(self.settings, self._programs)
        if not self._epmd.running:
            epmd = str(self._programs.erlang / "bin/epmd")
            port = str(self.settings.epmd_port)
            self._epmd.launch([epmd, "-port", port], self._environment)
            self._epmd.wait_until(lambda: _listens(self.settings.epmd_port), seconds=10)
        server = str(self.settings.server / "sbin/rabbitmq-server")
        self._node.launch([server], self._environment)

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until clients can connect and the management API knows the vhost."""
        self._node.wait_until(self._ready, seconds)

    def start(self, seconds: float = START_SECONDS) -> None:
        self.launch()
        self.wait_until_ready(seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Shut the node down cleanly. Messages in durable queues survive."""
        if self.running:
            self.resume()
            self._detach_statistics()
            self._node.stop(seconds)
        self._epmd.stop(5)

    def kill(self) -> None:
        """Kill the node as a power cut would; `start` brings it back.

        RabbitMQ 3.10 writes its list of quorum queues to disk only once a second. It would forget a
        younger queue with all messages that it confirmed. Tests declare and kill within that
        second, so the node is made to write the list first.
        """
        self._evaluate("[On(dets, sync, [T]) || T <- On(dets, all, [])]")
        self._node.kill()

    def wipe(self) -> None:
        """Kill the node and lose its data, as with a lost volume.

        The next start makes a new node. It has the vhost and user of its settings, and no other
        user, exchange or queue.
        """
        self._node.kill()
        shutil.rmtree(self.settings.directory / "mnesia", ignore_errors=True)
        (self.settings.directory / "feature_flags").unlink(missing_ok=True)

    def drop_connections(self) -> None:
        """Close every client's connection, as `rabbitmqctl close_all_connections` does.

        Clients get `320 CONNECTION_FORCED`. One that has lost a permission notices it only now.
        """
        self._require('ok = On(rabbit_networking, close_all_connections, [<<"by a test">>])')

    def pause(self) -> None:
        """Freeze the node: connections stay open and nothing answers, until `resume`."""
        self._node.pause()

    def resume(self) -> None:
        self._node.resume()

    def create_vhost(self, name: str) -> str:
        """Make an empty vhost for the settings' user, and return its AMQP address."""
        vhost = quote(name, safe="")
        self._manage("PUT", f"vhosts/{vhost}")
        permissions = {"configure": ".*", "write": ".*", "read": ".*"}
        self._manage("PUT", f"permissions/{vhost}/{quote(self.settings.user)}", permissions)
        return self.settings.url(name)

    def delete_vhost(self, name: str) -> None:
        """Remove a vhost with its queues, which disconnects its clients."""
        self._manage("DELETE", f"vhosts/{quote(name, safe='')}")

    def raise_memory_alarm(self) -> None:
        """Block every publisher, as a broker that runs out of memory does."""
        self._limit_memory("0.000001")

    def clear_memory_alarm(self) -> None:
        self._limit_memory(f'{{absolute, "{MEMORY_LIMIT}"}}')

    def raise_disk_alarm(self) -> None:
        """Block every publisher, as a broker whose disk is nearly full does."""
        self._limit_disk("1000000GB")

    def clear_disk_alarm(self) -> None:
        self._limit_disk(DISK_LIMIT)

    def _limit_memory(self, limit: str) -> None:
        self._require(f"ok = On(vm_memory_monitor, set_vm_memory_high_watermark, [{limit}])")

    def _limit_disk(self, free: str) -> None:
        self._require(f'ok = On(rabbit_disk_monitor, set_disk_free_limit, ["{free}"])')

    def _ready(self) -> bool:
        if not _listens(self.settings.amqp_port):
            return False
        try:
            self._manage("GET", f"vhosts/{quote(self.settings.vhost, safe='')}")
        except (httpx.HTTPError, LocalError):
            return False
        return True

    def _manage(self, method: str, path: str, body: dict[str, str] | None = None) -> None:
        answer = httpx.request(
            method,
            f"http://127.0.0.1:{self.settings.management_port}/api/{path}",
            # Not in the URL, because httpx logs that.
            auth=(self.settings.user, self.settings.password),
            json=body,
            timeout=10,
            trust_env=False,  # no proxy for an address on this machine
        )
        if answer.is_error:
            raise LocalError(f"RabbitMQ answered {answer.status_code} to {method} {path}")

    def _detach_statistics(self) -> None:
        """Remove the management plugin's event handler before the node stops.

        The handler asks a process that has ended already. So RabbitMQ 3.10 would wait for it during
        5 of the 6 seconds of a stop. If it cannot be removed, the stop only takes longer.
        """
        self._evaluate("On(gen_event, delete_handler, [rabbit_event, rabbit_mgmt_db_handler, []])")

    def _require(self, expression: str) -> None:
        if not self._evaluate(expression):
            raise LocalError(f"RabbitMQ did not do what it was asked for: {expression}")

    def _evaluate(self, expression: str) -> bool:
        """Evaluate Erlang, in which `On(Module, Function, Arguments)` makes a call in the node.

        This takes a tenth of a second, much less than rabbitmqctl. False if it failed or the node
        did not answer.
        """
        on = f"On = fun(M, F, A) -> rpc:call('{self.settings.node}', M, F, A) end"
        name = f"warren-call-{self.settings.amqp_port}@localhost"
        erl = str(self._programs.erlang / "bin/erl")
        try:
            result = subprocess.run(
                [erl, "-sname", name, "-noinput", "-eval", f"{on}, {expression}, halt(0)."],
                env=self._environment,
                cwd=self.settings.directory,  # a failure leaves a dump in the working directory
                stdout=subprocess.DEVNULL,
                timeout=CALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return result.returncode == 0


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
