"""The queues: whether they exist, have consumers, and get shorter."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from amqp.exceptions import AccessRefused, NotFound
from kombu import Connection

from contracts import topology
from web.ops.doctor.broker import ANOTHER_USER, connected
from web.ops.doctor.finding import Finding, problem, start, unknown, warn, well

BETWEEN_LOOKS = 1.5  # seconds
# The process that consumes each queue.
PROCESSES = {topology.queue_name(service): service for service in topology.SERVICES} | {
    topology.WEB_RESULTS.name: "collector",
    topology.WEB_DEAD.name: "collector",
}


class Depth(NamedTuple):
    """The counts of a queue, as RabbitMQ tells them."""

    ready: int
    consumers: int


def look_at_queues() -> Iterator[Finding]:
    """Look twice, to find queues that do not get shorter in between."""
    try:
        with connected() as connection:
            first = _depths(connection)
            if any(depth and depth.ready for depth in first.values()):
                time.sleep(BETWEEN_LOOKS)
            yield from judge(first, _depths(connection))
    except AccessRefused:
        yield unknown(
            "this user may not look at all queues", f"ask as one that may: {ANOTHER_USER}"
        )


def judge(
    first: Mapping[str, Depth | None], second: Mapping[str, Depth | None]
) -> Iterator[Finding]:
    """Judge the queues by two looks; None stands for a missing queue."""
    troubles = [
        trouble
        for queue, depth in second.items()
        if (trouble := _trouble(queue, first[queue], depth))
    ]
    yield from troubles
    if not troubles:
        waiting = sum(depth.ready for depth in second.values() if depth)
        consumers = ", ".join(
            f"{queue} {depth.consumers}" for queue, depth in second.items() if depth
        )
        yield well(f"{waiting} messages wait; consumers: {consumers}")


def _trouble(queue: str, before: Depth | None, now: Depth | None) -> Finding | None:
    process = PROCESSES[queue]
    if now is None:
        return problem(f"the queue {queue} is missing", "see `topology`")
    if not now.consumers:
        found = f"nobody takes from the queue {queue} ({now.ready} messages wait)"
        return problem(f"{found}: {process} is not running, or deaf", start(process))
    if before and before.ready and now.ready >= before.ready:
        return warn(
            f"{now.ready} messages in {queue} do not get fewer: {process} is busy, or stuck",
            f"see `workers`; more of it: `docker compose up -d --scale {process}=2`, "
            f"or `make scale {process}=2`",
        )
    return None


def _depths(connection: Connection) -> dict[str, Depth | None]:
    return {queue: _depth(connection, queue) for queue in PROCESSES}


def _depth(connection: Connection, queue: str) -> Depth | None:
    channel: Any = connection.channel()  # a new one for each queue: a refusal closes it
    try:
        found = channel.queue_declare(queue, passive=True)
    except NotFound:
        return None
    return Depth(found.message_count, found.consumer_count)
