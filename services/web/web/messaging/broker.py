"""A connection to the broker that no silence holds up."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kombu import Connection

from contracts.topology import Entity, check
from web.messaging.publisher_app import app

HEARTBEAT = 10  # seconds; a connection that is silent for twice as long is dead
ANSWER = 4.0  # seconds to wait for any one answer
GOODBYE = 1.0  # seconds to wait for the last one
# Whether a connection is dead is for the heartbeat to say: py-amqp's default would give it up one
# second after a broker with an alarm has stopped reading.
SOCKET_SETTINGS = {socket.TCP_USER_TIMEOUT: 0}


@contextmanager
def connected(uses: Sequence[Entity] | None = None) -> Iterator[Connection]:
    """Connect within seconds or not at all, and check that what the caller ``uses`` is there.

    Raises one of BROKER_ERRORS, and MissingTopologyError.
    """
    options = {"socket_settings": SOCKET_SETTINGS}
    connection = app.connection_for_write(
        heartbeat=HEARTBEAT, connect_timeout=ANSWER, transport_options=options
    )
    connection.ensure_connection(max_retries=0)  # once; connect() would try again
    opened: Any = connection.connection  # py-amqp's, which has no types
    try:
        opened.sock.settimeout(ANSWER)
        if uses is not None:
            check(connection, uses)
        yield connection
        opened.sock.settimeout(GOODBYE)
        connection.release()
    finally:
        # Close what is broken too, without a word: kombu forgets a connection whose end it misses.
        opened.collect()
        connection.collect()


def drained(connection: Connection, timeout: float) -> bool:
    """Handle what the broker says next; False if it says nothing for so many seconds."""
    try:
        connection.drain_events(timeout=timeout)
    except TimeoutError:
        return False
    return True


def keep_alive(connection: Connection) -> None:
    """Answer heartbeats. Raises one of BROKER_ERRORS if the broker is gone."""
    while drained(connection, timeout=0.001):  # what lies unread does not count as a heartbeat
        pass
    connection.heartbeat_check()
