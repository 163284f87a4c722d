"""RabbitMQ: whether it lets this process in, takes messages, and has the declared topology."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from amqp import Message
from amqp.exceptions import AccessRefused, NotFound
from kombu import Connection

from contracts import topology
from web.messaging.broker.client import app
from web.ops.doctor.finding import Finding, problem, unknown, well

SECONDS = 3.0  # to wait for any one answer
ANOTHER_USER = "docker compose run --rm --no-deps migrate python manage.py doctor"
MISSING = "the reconciler makes it again within seconds, or `manage.py declare_topology` does"
DIFFERS = "empty and delete it, then `manage.py declare_topology`: it cannot be changed in place"


@contextmanager
def connected() -> Iterator[Connection]:
    """Connect once with short timeouts, as this process's user. Raises one of BROKER_ERRORS."""
    timeouts = {"read_timeout": SECONDS, "write_timeout": SECONDS}
    connection = app.connection_for_write(connect_timeout=SECONDS, transport_options=timeouts)
    try:
        connection.ensure_connection(max_retries=0)  # once; connect() would try again
        yield connection
    finally:
        connection.collect()  # without a goodbye, which a blocked or frozen broker never answers


def look_at_access() -> Iterator[Finding]:
    """Connect and sign in."""
    address = urlsplit(app.conf.broker_url)
    if not address.username:
        yield unknown(
            "this process has no user of the broker", f"ask as one that has: {ANOTHER_USER}"
        )
        return
    started = time.monotonic()
    with connected() as connection:
        opened: Any = connection.connection  # py-amqp's, without types
        milliseconds = (time.monotonic() - started) * 1000
        version = opened.server_properties.get("version", "")
        yield well(f"{version} lets {address.username} in, in {milliseconds:.0f} ms")


def look_at_alarms() -> Iterator[Finding]:
    """Publish a message without a receiver: only publishers are told of the broker's alarms."""
    with connected() as connection:
        channel: Any = connection.channel()
        blocked: list[str] = []
        channel.connection.on_blocked = blocked.append
        started = time.monotonic()
        try:
            channel.confirm_select()
            confirmed: list[int] = []
            channel.events["basic_ack"].add(lambda tag, _: confirmed.append(tag))
            # The marker has no bindings, so no queue gets the message.
            channel.basic_publish(Message("", delivery_mode=1), topology.marker().name, "doctor")
            while not confirmed and not blocked:
                connection.drain_events(timeout=SECONDS)
        except AccessRefused:
            yield unknown(
                "this user may not publish to the marker", f"ask as one that may: {ANOTHER_USER}"
            )
            return
        except NotFound:
            yield unknown("there is no marker to publish to: see `topology`")
            return
        yield _alarm(blocked, time.monotonic() - started)


def _alarm(blocked: list[str], seconds: float) -> Finding:
    if blocked:
        return problem(
            "it takes no messages: it is short of memory or disk",
            "its page or `rabbitmq-diagnostics alarms` says of which; find the queue that grows, "
            "make room, raise the limit. Messages wait in the outbox and go by themselves then",
        )
    return well(f"takes messages: one was confirmed in {seconds * 1000:.0f} ms")


def look_at_topology() -> Iterator[Finding]:
    """Compare exchanges and queues one by one with their declarations, as far as this user may."""
    with connected() as connection:
        comparison = topology.compare(connection)
    for words in comparison.problems:
        yield problem(words, DIFFERS if words in comparison.differing else MISSING)
    if comparison.problems:
        return
    found = f"{topology.fingerprint()}, as declared"
    if comparison.unasked:
        found += f"; of {len(comparison.unasked)} objects the marker alone says so"
    yield well(found)
