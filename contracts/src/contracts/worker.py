"""The one Celery configuration: each setting with the failure that it prevents."""

import os
import socket
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from amqp.exceptions import AccessRefused
from celery import Celery, signals
from celery.exceptions import SecurityWarning
from kombu import Connection

from contracts import logging as warren_logging
from contracts import topology, wire
from contracts.consumer import SOCKET_TIMEOUTS, Liveness
from contracts.errors import MissingTopologyError, SettingsError
from contracts.reporting import report_interval, reporter
from contracts.settings import Environment
from contracts.stopping import Stopping

log = structlog.get_logger("warren.worker")

HEARTBEAT = 10  # seconds
BROKER = {
    # A peer that vanished without a word counts as gone after two heartbeats (and half a one, for
    # that is how often Celery looks): 25 seconds.
    "broker_heartbeat": HEARTBEAT,
    "broker_connection_timeout": 4.0,
    # Where nobody looks at heartbeats, as in the pool's processes.
    "broker_transport_options": SOCKET_TIMEOUTS,
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],  # a pickle would let whoever can publish run any code
    "task_create_missing_queues": False,  # a typing error would create a classic queue
    "task_default_exchange": topology.TASKS.name,
    "task_default_exchange_type": topology.TASKS.type,
    "enable_utc": True,
}

RELIABILITY = {
    "broker_connection_retry_on_startup": True,  # a worker may start before its broker
    "broker_connection_max_retries": None,  # an outage of any length ends without an operator
    "broker_channel_error_retry": True,  # a channel closed by the broker does not end the worker
    "task_acks_late": True,  # a killed worker's task is delivered again
    "task_reject_on_worker_lost": True,  # so is a task whose pool process was killed
    "task_acks_on_failure": False,  # an unforeseen failure becomes a dead letter
    "task_acks_on_timeout": True,  # a task that is too long would be too long again
    "task_track_started": True,
    "worker_consumer": "contracts.consumer:StrictConsumer",
    "worker_prefetch_multiplier": 1,  # an idle worker gets what a busy one would hoard
    "worker_detect_quorum_queues": True,  # quorum queues refuse a global prefetch count
    "worker_enable_prefetch_count_reduction": False,  # else slow for good after a reconnect
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_soft_shutdown_timeout": 20.0,
    "worker_hijack_root_logger": False,  # logs keep one format
    "worker_redirect_stdouts": False,
}

VISIBILITY = {
    "worker_send_task_events": True,  # Flower lives on them
    "result_backend": "contracts.backend:ResultBackend",
    "result_persistent": True,
    "result_extended": False,  # arguments do not travel with results
    "event_queue_expires": 60.0,
}

TOPOLOGY_PAUSE = 2.0  # seconds between two looks at whether it is there

POOLS = {"threads": "contracts.threads:TaskPool", "prefork": "contracts.processes:TaskPool"}


@dataclass(frozen=True)
class WorkerSettings:
    """What every worker reads from its environment."""

    broker_url: str = field(repr=False)
    liveness_file: str
    log_format: str
    log_level: str
    concurrency: int
    shutdown_timeout: float
    report_interval: float
    heartbeat: int
    start_timeout: float

    @classmethod
    def read(cls, env: Environment, *, concurrency: int) -> "WorkerSettings":
        """Read them; ``concurrency`` is the service's default."""
        return cls(
            broker_url=broker_url(env),
            liveness_file=env.text("LIVENESS_FILE", example="/tmp/alive", default=""),  # noqa: S108
            log_format=env.choice("LOG_FORMAT", options=warren_logging.FORMATS, default="json"),
            log_level=env.choice(
                "LOG_LEVEL", options=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO"
            ),
            concurrency=env.integer("CONCURRENCY", default=concurrency, minimum=1),
            shutdown_timeout=env.seconds("SHUTDOWN_TIMEOUT", default=20.0),
            report_interval=report_interval(env),
            heartbeat=env.integer("BROKER_HEARTBEAT", default=HEARTBEAT, minimum=1),
            start_timeout=env.seconds("TASK_START_TIMEOUT", default=15.0, minimum=1.0),
        )


def broker_url(env: Environment) -> str:
    """Read the address of RabbitMQ."""
    return env.url(
        "BROKER_URL",
        schemes=("amqp", "amqps"),
        example="amqp://user:password@localhost:5672/warren",
    )


def create_app(
    service: str,
    settings: WorkerSettings,
    checks: Mapping[str, Callable[[], str]] | None = None,
    make: Callable[[str], Celery] = Celery,
    **overrides: Any,
) -> Celery:
    """Make a worker's Celery application.

    Args:
        service: names the queue and the nodes.
        settings: from the environment.
        checks: looks at what the service needs, by name; each says what is wrong, or nothing.
        make: makes the application, given its name.
        overrides: Celery settings of this service alone.
    """
    wire.read_anything()
    app = make(service)
    queue = topology.task_queue(service)
    queue.no_declare = True  # type: ignore[attr-defined]  # the topology has one owner, and it is not the worker
    app.conf.update(
        BROKER
        | RELIABILITY
        | VISIBILITY
        | {
            "broker_url": settings.broker_url,
            "task_queues": [queue],
            "task_default_queue": queue.name,
            "task_default_routing_key": f"{service}.unnamed",
            "worker_concurrency": settings.concurrency,
            "worker_soft_shutdown_timeout": settings.shutdown_timeout,
            "broker_heartbeat": settings.heartbeat,
            "liveness_file": settings.liveness_file,
            "report_interval": settings.report_interval,
            "task_start_timeout": settings.start_timeout,
        }
        | overrides
    )
    app.steps["worker"].add(Liveness)
    app.steps["worker"].add(Stopping)
    app.steps["consumer"].add(reporter(service, settings.report_interval, checks or {}))
    _log_as(service, settings)
    return app


def run(app: Celery, *, pool: str) -> None:
    """Wait for broker and topology, then work in a pool of POOLS until told to stop.

    The node's name is unique, because RabbitMQ refuses a second consumer of its control queue.
    Raises SettingsError if the broker refuses the sign-in.
    """
    app.log.setup_logging_subsystem()  # Celery would do it later, and the wait be silent
    while not _has_topology(app.main, app.conf.broker_url):
        time.sleep(TOPOLOGY_PAUSE)
    node = f"{app.main}-{os.getpid()}@{socket.gethostname()}"
    app.conf.worker_pool = POOLS[pool]
    # Celery warns of root because of pickle, which these workers do not accept.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # Quiet: no banner in between the lines of the log. Without gossip: workers have nothing to tell
    # each other, and so need not be allowed to hear each other's events.
    alone = ("--without-mingle", "--without-gossip")
    app.worker_main(["--quiet", "worker", f"--hostname={node}", *alone])


def _has_topology(service: str, url: str) -> bool:
    """Wait for the broker; False if what is missing there has yet to be declared."""
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


def _log_as(service: str, settings: WorkerSettings) -> None:
    # A receiver of setup_logging keeps Celery from configuring the logs itself.
    def set_up(**_: Any) -> None:
        warren_logging.configure(service, log_format=settings.log_format, level=settings.log_level)

    signals.setup_logging.connect(set_up, weak=False)
