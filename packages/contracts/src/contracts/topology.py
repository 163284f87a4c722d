"""The exchanges and queues of Warren, in one place. See docs/architecture.md."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed
from kombu import Connection, Exchange, Queue
from kombu.transport.base import StdChannel

from contracts.errors import MissingTopologyError, TopologyError

SERVICES = ("mailer", "compute", "tasks")
# The queue of web's own tasks, and the prefix of their routing keys. The tasks' names begin with
# those of apps, not with a service.
WEB_TASKS = "web.tasks"

UNROUTED = Exchange("warren.unrouted", type="fanout", durable=True)
TASKS = Exchange(
    "warren.tasks", type="topic", durable=True, arguments={"alternate-exchange": UNROUTED.name}
)
DEAD = Exchange("warren.dead", type="topic", durable=True)
# Older versions had this one exchange for the results of all services. No worker may write to it.
OLD_RESULTS = "warren.results"

TASK_DELIVERY_LIMIT = 3
# The collector never gives a message back on purpose. With RabbitMQ 4's default limit of 20, a
# message would leave the queue after 20 crashes of the collector.
COLLECTOR_DELIVERY_LIMIT = 1_000_000


def results_name(service: str) -> str:
    """Name of the exchange to which a service's workers publish.

    Each service has its own. Only the permission to write to it keeps a worker from publishing
    results of another service. Topic permissions would not do: RabbitMQ forgets them when an
    exchange is deleted and declared again.
    """
    return f"{OLD_RESULTS}.{service}"


def results_exchange(service: str) -> Exchange:
    """Exchange to which a service's workers publish."""
    return Exchange(results_name(service), type="topic", durable=True)


def queue_name(service: str) -> str:
    """Name of the queue from which a service's workers take their tasks."""
    return WEB_TASKS if service == "tasks" else service


def _quorum(delivery_limit: int) -> dict[str, object]:
    return {"x-queue-type": "quorum", "x-delivery-limit": delivery_limit}


def _dead_lettering() -> dict[str, object]:
    # at-least-once keeps a dead letter in its queue until web.dead has it. It needs reject-publish.
    return {
        "x-dead-letter-exchange": DEAD.name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def task_queue(service: str) -> Queue:
    """Queue of a service's tasks: every routing key that begins with the queue's name."""
    return Queue(
        queue_name(service),
        TASKS,
        routing_key=f"{queue_name(service)}.#",
        durable=True,
        queue_arguments=_quorum(TASK_DELIVERY_LIMIT) | _dead_lettering(),
    )


RESULTS = tuple(results_exchange(service) for service in SERVICES)
EXCHANGES = (UNROUTED, TASKS, *RESULTS, DEAD)
TASK_QUEUES = tuple(task_queue(service) for service in SERVICES)
WEB_RESULTS = Queue(
    "web.results",
    durable=True,
    queue_arguments=_quorum(COLLECTOR_DELIVERY_LIMIT) | _dead_lettering(),
)
WEB_DEAD = Queue(
    "web.dead",
    durable=True,
    queue_arguments=_quorum(COLLECTOR_DELIVERY_LIMIT),
)
QUEUES = (*TASK_QUEUES, WEB_RESULTS, WEB_DEAD)
BINDINGS = (
    *((queue.name, queue.exchange, queue.routing_key) for queue in TASK_QUEUES),
    *((WEB_RESULTS.name, exchange, "#") for exchange in RESULTS),
    (WEB_DEAD.name, DEAD, "#"),
    (WEB_DEAD.name, UNROUTED, ""),
)

# The exchanges and queues that a process uses, and so may ask the broker about.
Entity = Exchange | Queue
OF_RELAY: tuple[Entity, ...] = (TASKS, *RESULTS)
OF_COLLECTOR: tuple[Entity, ...] = (WEB_RESULTS, WEB_DEAD)


def of_worker(service: str) -> tuple[Entity, ...]:
    """Queue and exchange that a service's workers use."""
    return task_queue(service), results_exchange(service)


def fingerprint() -> str:
    """Digest of all that this module declares; equal digests mean equal topologies."""
    description = {
        "exchanges": [[e.name, e.type, e.arguments] for e in EXCHANGES],
        "queues": [[q.name, q.queue_arguments] for q in QUEUES],
        "bindings": [[queue, exchange.name, key] for queue, exchange, key in BINDINGS],
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]


def marker() -> Exchange:
    """Exchange whose existence means that exactly this topology was declared.

    Every process may ask whether it exists. A queue's arguments can be checked only by a user who
    may configure the queue.
    """
    return Exchange(f"warren.topology.{fingerprint()}", type="fanout", durable=True)


@dataclass(frozen=True)
class Comparison:
    """How the broker's topology compares with the declared one.

    ``problems`` are sentences about each object that is missing or differs. ``missing`` are the
    names of missing objects, ``differing`` the sentences about objects that differ. ``unasked`` are
    the names of objects whose arguments this user may not ask about. The marker answers for them.
    """

    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)


def declare(connection: Connection) -> None:
    """Create what is missing. Raises TopologyError if an object exists with other arguments."""
    if differing := compare(connection).differing:
        raise TopologyError(_explain(differing))
    restore(connection)


def restore(connection: Connection) -> None:
    """Create missing exchanges, queues and bindings; leave objects that differ as they are."""
    entities: tuple[Entity, ...] = (*EXCHANGES, *QUEUES)
    complete = True
    with connection.channel() as channel:
        for entity in entities:
            try:
                _declare(channel, entity, passive=False)
            except PreconditionFailed:
                complete = False
        for queue_name_, exchange, key in BINDINGS:
            Queue(queue_name_, exchange, routing_key=key)(channel).queue_bind()
        if complete:
            marker()(channel).declare()


def compare(connection: Connection) -> Comparison:
    """Ask the broker about each exchange and queue, and about the marker, which covers bindings.

    Only the topology's owner should ask. For any other user, RabbitMQ logs an error about each
    object that the user may not configure.
    """
    comparison = Comparison()
    entities: tuple[Entity, ...] = (*EXCHANGES, *QUEUES)
    # The broker closes the channel when it refuses something. py-amqp opens it again by itself.
    with connection.channel() as channel:
        for entity in entities:
            _compare(channel, entity, comparison)
        if not comparison.problems and not _exists(channel, marker()):
            comparison.problems.append(_no_marker())
    return comparison


def check(connection: Connection, entities: Sequence[Entity]) -> None:
    """Check that the ``entities`` of a process exist, and the marker, which answers for the rest.

    Raises MissingTopologyError, which names each missing object. It may be declared at any time.
    """
    with connection.channel() as channel:
        problems = [_missing(entity) for entity in entities if not _exists(channel, entity)]
        if not problems and not _exists(channel, marker()):
            problems.append(_no_marker())
    if problems:
        raise MissingTopologyError(_explain(problems))


def _no_marker() -> str:
    return f"marker {marker().name!r} is missing: another version declared the rest"


def _missing(entity: Entity) -> str:
    return f"{_kind(entity)} {entity.name!r} is missing"


def _kind(entity: Entity) -> str:
    return "queue" if isinstance(entity, Queue) else "exchange"


def _explain(problems: list[str]) -> str:
    way_out = (
        "Run `manage.py declare_topology` to create what is missing. What differs has to be "
        "emptied and deleted first: RabbitMQ cannot change it in place."
    )
    return "\n  ".join(["the broker's topology is not the declared one:", *problems, way_out])


def _compare(channel: StdChannel, entity: Entity, comparison: Comparison) -> None:
    if not _exists(channel, entity):
        comparison.problems.append(_missing(entity))
        comparison.missing.append(entity.name)
        return
    try:  # a repeated declaration is refused if an argument differs
        _declare(channel, entity, passive=False)
    except PreconditionFailed as error:
        difference = f"{_kind(entity)} {entity.name!r} differs: {error.reply_text}"
        comparison.problems.append(difference)
        comparison.differing.append(difference)
    except AccessRefused:
        comparison.unasked.append(entity.name)


def _exists(channel: StdChannel, entity: Entity) -> bool:
    try:
        _declare(channel, entity, passive=True)
    except NotFound:
        return False
    except AccessRefused:
        # RabbitMQ 4.3.1 and newer refuse to answer if the user has no permission for the object.
        # The marker, which every process may read, answers for it instead.
        if entity.name == marker().name:
            raise
    return True


def _declare(channel: StdChannel, entity: Entity, *, passive: bool) -> None:
    if isinstance(entity, Queue):
        entity(channel).queue_declare(passive=passive)
    else:
        entity(channel).declare(passive=passive)
