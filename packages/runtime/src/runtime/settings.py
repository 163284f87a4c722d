"""Settings that several services have, each read in one place."""

from runtime.environment import Environment
from runtime.logging import FORMATS, LEVELS


def broker_url(env: Environment) -> str:
    """Read the address of RabbitMQ."""
    return env.url(
        "BROKER_URL",
        schemes=("amqp", "amqps"),
        example="amqp://user:password@localhost:5672/warren",
        meaning="RabbitMQ, with the vhost",
    )


def report_interval(env: Environment) -> float:
    """Read how many seconds lie between two reports of a worker."""
    return env.seconds(
        "REPORT_INTERVAL",
        default=5.0,
        minimum=0.5,
        maximum=10.0,
        meaning="seconds between two reports of a worker; the same for all processes",
    )


def shutdown_timeout(env: Environment) -> float:
    """Read how many seconds a process has to finish its requests or tasks when it is stopped."""
    meaning = "seconds that running requests and tasks have at the end"
    return env.seconds("SHUTDOWN_TIMEOUT", default=20.0, meaning=meaning)


def liveness_file(env: Environment) -> str:
    """Read the path of the file that a process touches while it can work; none by default."""
    meaning = "file that a process touches while it can work"
    return env.text("LIVENESS_FILE", example="/tmp/alive", default="", meaning=meaning)  # noqa: S108


def log_format(env: Environment) -> str:
    """Read in which form logs are written."""
    meaning = "form of the logs; console is for people"
    return env.choice("LOG_FORMAT", options=FORMATS, default="json", meaning=meaning)


def log_level(env: Environment) -> str:
    """Read below which level nothing is logged."""
    meaning = "below it, nothing is logged"
    return env.choice("LOG_LEVEL", options=LEVELS, default="INFO", meaning=meaning)


def job_size_limit(env: Environment) -> int:
    """Read how many KiB a job's arguments, and its result, may have.

    Both lie in the database, in the broker and in memory. The proxy accepts bodies of that size.
    """
    return env.integer(
        "JOB_SIZE_LIMIT",
        default=256,
        minimum=16,
        maximum=4096,
        meaning="KiB of a job's arguments, and of its result (`ResultTooLarge`)",
    )
