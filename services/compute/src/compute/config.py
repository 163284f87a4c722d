"""Settings of the compute worker."""

from dataclasses import dataclass

from compute.limits import LONGEST_GRACE, LONGEST_TIME_LIMIT, Limits
from runtime import settings as common
from runtime.environment import Environment
from worker.app import WorkerSettings


@dataclass(frozen=True)
class Settings:
    """All settings that the worker reads from its environment."""

    worker: WorkerSettings
    limits: Limits
    modules: tuple[str, ...]
    announce_interval: float
    result_limit: int  # KiB

    @classmethod
    def read(cls, env: Environment) -> "Settings":
        """Read and check them. Raises SettingsError, which names each that is wrong."""
        settings = cls(
            worker=WorkerSettings.read(env),
            limits=_limits(env),
            modules=tuple(
                env.items(
                    "COMPUTE_MODULES",
                    example="acme.computations,acme.more",
                    default="",
                    meaning="further modules with computations, separated by commas",
                )
            ),
            announce_interval=env.seconds(
                "COMPUTE_ANNOUNCE_INTERVAL",
                default=300.0,
                maximum=600.0,  # web takes what is not announced for 20 minutes for withdrawn
                meaning="seconds between two announcements of the catalogue",
            ),
            result_limit=common.job_size_limit(env),
        )
        env.check()
        return settings


def _limits(env: Environment) -> Limits:
    soft = env.integer(
        "COMPUTE_TIME_LIMIT",
        default=300,
        minimum=1,
        maximum=LONGEST_TIME_LIMIT,
        meaning="seconds that a run may take, if its computation says nothing else",
    )
    grace = env.integer(
        "COMPUTE_TIME_LIMIT_GRACE",
        default=10,
        minimum=1,
        maximum=LONGEST_GRACE,
        meaning="seconds after that until it is killed",
    )
    memory = env.integer(
        "COMPUTE_MEMORY_LIMIT", default=512, minimum=16, meaning="MiB that a run may use"
    )
    return Limits(soft_time_limit=soft, time_limit=soft + grace, memory_limit=memory)
