"""The one Celery configuration: each setting with the failure that it prevents."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, signals

from contracts import topology
from runtime import broker, wire
from runtime import logging as warren_logging
from runtime import settings as common
from runtime.environment import Environment
from worker.liveness import Liveness
from worker.pools import POOLS
from worker.reporting import reporter
from worker.stopping import Stopping

RELIABILITY = {
    "broker_connection_retry_on_startup": True,  # a worker may start before its broker
    "broker_connection_max_retries": None,  # workers return from an outage of any length
    "broker_channel_error_retry": True,  # a channel closed by the broker does not end the worker
    "task_acks_late": True,  # a killed worker's task is delivered again
    "task_reject_on_worker_lost": True,  # so is a task whose pool process was killed
    "task_acks_on_failure": False,  # an unforeseen failure becomes a dead letter
    "task_acks_on_timeout": True,  # a task that is too long would be too long again
    "worker_consumer": "worker.consumer:StrictConsumer",
    "worker_prefetch_multiplier": 1,  # a busy worker keeps no task from an idle one
    "worker_detect_quorum_queues": True,  # quorum queues refuse a global prefetch count
    "worker_enable_prefetch_count_reduction": False,  # otherwise slow for good after a reconnect
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_soft_shutdown_timeout": 20.0,
    "worker_hijack_root_logger": False,  # logs keep one format
    "worker_redirect_stdouts": False,
}

VISIBILITY = {
    "worker_send_task_events": True,  # Flower shows what they tell
    "result_backend": "worker.backend:ResultBackend",
    "result_persistent": True,
    "result_extended": False,  # arguments do not travel with results
    "event_queue_expires": 60.0,
}


@dataclass(frozen=True)
class WorkerSettings:
    """The settings that every worker reads from its environment."""

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
    def read(cls, env: Environment, *, concurrency: int | None = None) -> "WorkerSettings":
        """Read them. ``concurrency`` is the service's default; None is the number of cores."""
        return cls(
            broker_url=common.broker_url(env),
            liveness_file=common.liveness_file(env),
            log_format=common.log_format(env),
            log_level=common.log_level(env),
            concurrency=env.integer(
                "CONCURRENCY",
                default=concurrency or len(os.sched_getaffinity(0)),
                minimum=1,
                meaning="tasks at a time",
                default_means="" if concurrency else "the number of cores",
            ),
            shutdown_timeout=common.shutdown_timeout(env),
            report_interval=common.report_interval(env),
            heartbeat=env.integer(
                "BROKER_HEARTBEAT",
                default=broker.HEARTBEAT,
                minimum=1,
                meaning="seconds between two heartbeats; after 2.5 times as long without one a "
                "connection counts as lost",
            ),
            start_timeout=env.seconds(
                "TASK_START_TIMEOUT",
                default=15.0,
                minimum=1.0,
                meaning="seconds for which a task may wait for an idle process of the pool, until "
                "it is given back",
            ),
        )


def create_app(
    service: str,
    settings: WorkerSettings,
    *,
    pool: str,
    checks: Mapping[str, Callable[[], str]] | None = None,
    make: Callable[[str], Celery] = Celery,
    **overrides: Any,
) -> Celery:
    """Make a worker's Celery application.

    Args:
        service: names the queue and the nodes.
        settings: from the environment.
        pool: one of POOLS: threads for work that waits, prefork for work that computes.
        checks: functions, by the name of the thing that each checks. They return what is wrong, or
            an empty text.
        make: makes the application, given its name.
        overrides: Celery settings of this service alone.
    """
    wire.read_anything()
    app = make(service)
    queue = topology.task_queue(service)
    queue.no_declare = True  # type: ignore[attr-defined]  # the worker is not the topology's owner
    app.conf.update(
        broker.CELERY
        | RELIABILITY
        | VISIBILITY
        | {
            "broker_url": settings.broker_url,
            "task_queues": [queue],
            "task_default_queue": queue.name,
            "task_default_routing_key": f"{service}.unnamed",
            "worker_pool": POOLS[pool],
            # Threads wait for others anyhow. A process's start is told by ``worker.starts``.
            "task_track_started": pool == "threads",
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


def _log_as(service: str, settings: WorkerSettings) -> None:
    # A receiver of setup_logging keeps Celery from configuring the logs itself.
    def set_up(**_: Any) -> None:
        warren_logging.configure(service, log_format=settings.log_format, level=settings.log_level)

    signals.setup_logging.connect(set_up, weak=False)
