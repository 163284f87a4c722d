"""A connection to the broker on which every wait has a limit."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from select import select
from ssl import SSLSocket
from typing import Any

from kombu import Connection

from contracts.topology import Entity, check
from web.messaging.broker.client import app

HEARTBEAT = 10  # seconds; a connection that is silent for twice as long is dead
ANSWER = 4.0  # seconds to wait for any one answer
REST = 0.001  # seconds to wait for the rest of what has come, which may be a heartbeat alone
GOODBYE = 1.0  # seconds to wait for the answer to closing a connection
# Only the heartbeat decides whether a connection is dead. With py-amqp's default, TCP would give it
# up one second after a broker with an alarm has stopped reading.
SOCKET_SETTINGS = {socket.TCP_USER_TIMEOUT: 0}


@contextmanager
def connected(uses: Sequence[Entity] | None = None) -> Iterator[Connection]:
    """Connect within seconds or fail, and check that the entities in ``uses`` exist.

    Raises one of BROKER_ERRORS, or MissingTopologyError if an entity is missing.
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
        # Close the socket without a handshake, also of a broken connection. If kombu fails to
        # close one, it only drops its reference.
        opened.collect()
        connection.collect()


def drained(connection: Connection, timeout: float) -> bool:
    """Handle what the broker sends next. False if nothing comes within ``timeout`` seconds."""
    try:
        connection.drain_events(timeout=timeout)
    except TimeoutError:
        return False
    return True


def has_come(connection: Connection) -> bool:
    """Whether there is something to read, without waiting for it."""
    sock = connection.connection.sock
    return (isinstance(sock, SSLSocket) and sock.pending() > 0) or bool(
        select([sock], [], [], 0)[0]
    )


def keep_alive(connection: Connection) -> None:
    """Answer heartbeats. Raises one of BROKER_ERRORS if the broker is gone."""
    while has_come(connection) and drained(connection, REST):
        pass  # unread bytes do not count as a heartbeat
    connection.heartbeat_check()
