"""Starts a worker: waits for the broker and the topology, then works until told to stop."""

import os
import socket
import sys
import time
import warnings
from importlib import import_module

import structlog
from amqp.exceptions import AccessRefused
from celery import Celery
from celery.exceptions import SecurityWarning
from kombu import Connection

from contracts import topology
from contracts.errors import MissingTopologyError, SettingsError, WarrenError
from runtime.broker import SOCKET_TIMEOUTS

log = structlog.get_logger("warren.worker")

TOPOLOGY_PAUSE = 2.0  # seconds between two checks whether it is declared


def start(service: str) -> None:
    """Import the service's ``app.app`` and work until told to stop, as ``python -m <service>``.

    If a setting is wrong, or the broker refuses it, the process says why and exits with EX_CONFIG.
    """
    try:
        run(import_module(f"{service}.app").app)
    except WarrenError as error:
        sys.stderr.write(f"{service} cannot start: {error}\n")
        sys.exit(os.EX_CONFIG)  # for a supervisor: another start would fail, too


def run(app: Celery) -> None:
    """Wait for broker and topology, then work until told to stop.

    The node's name is unique: RabbitMQ refuses a second consumer of a node's control queue.
    Raises SettingsError if the broker refuses the sign-in.
    """
    app.log.setup_logging_subsystem()  # Celery would do so only after the wait
    while not _has_topology(app.main, app.conf.broker_url):
        time.sleep(TOPOLOGY_PAUSE)
    node = f"{app.main}-{os.getpid()}@{socket.gethostname()}"
    # Celery warns of root because of pickle, which these workers do not accept.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # Quiet: no banner between the lines of the log. Without gossip: workers need nothing from each
    # other, so they get no permission to read each other's events.
    alone = ("--without-mingle", "--without-gossip")
    app.worker_main(["--quiet", "worker", f"--hostname={node}", *alone])


def _has_topology(service: str, url: str) -> bool:
    """Wait for the broker, and return whether the topology is declared there."""
    with Connection(url, transport_options=SOCKET_TIMEOUTS) as connection:
        try:
            connection.ensure_connection(errback=_log_wait, interval_max=10)
        except AccessRefused as error:
            raise SettingsError(f"BROKER_URL is wrong: {error.reply_text}") from error
        try:
            topology.check(connection, topology.of_worker(service))
        except MissingTopologyError as error:
            log.error("waiting for the topology", reason=str(error))
            return False
    return True


def _log_wait(error: Exception, seconds: float) -> None:
    log.warning("broker not reachable", reason=str(error), again_in=seconds)
