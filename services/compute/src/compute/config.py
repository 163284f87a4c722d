"""Settings of the compute worker."""

import os
from dataclasses import dataclass

from compute.limits import LONGEST_GRACE, LONGEST_TIME_LIMIT, Limits
from contracts.settings import Environment
from contracts.worker import WorkerSettings


@dataclass(frozen=True)
class Settings:
    """Everything that the worker reads from its environment."""

    worker: WorkerSettings
    limits: Limits
    modules: tuple[str, ...]
    announce_interval: float
    result_limit: int  # KiB

    @classmethod
    def read(cls, env: Environment) -> "Settings":
        """Read and check them. Raises SettingsError, which names each that is wrong."""
        settings = cls(
            worker=WorkerSettings.read(env, concurrency=len(os.sched_getaffinity(0))),
            limits=_limits(env),
            modules=_modules(env),
            announce_interval=env.seconds("COMPUTE_ANNOUNCE_INTERVAL", default=300.0),
            result_limit=env.integer("JOB_SIZE_LIMIT", default=256, minimum=16, maximum=4096),
        )
        env.check()
        return settings


def _limits(env: Environment) -> Limits:
    soft = env.integer("COMPUTE_TIME_LIMIT", default=300, minimum=1, maximum=LONGEST_TIME_LIMIT)
    grace = env.integer("COMPUTE_TIME_LIMIT_GRACE", default=10, minimum=1, maximum=LONGEST_GRACE)
    memory = env.integer("COMPUTE_MEMORY_LIMIT", default=512, minimum=16)
    return Limits(soft_time_limit=soft, time_limit=soft + grace, memory_limit=memory)


def _modules(env: Environment) -> tuple[str, ...]:
    names = env.items("COMPUTE_MODULES", example="acme.computations,acme.more", default="")
    return tuple(name for name in names if name)
