"""How a worker's connections to the broker behave below AMQP."""

import socket
from typing import Any

from kombu import Connection

from contracts.consumer import SOCKET_TIMEOUTS
from local.broker import Broker


def test_a_short_silence_of_the_network_ends_no_connection(broker: Broker) -> None:
    with Connection(broker.settings.url(), transport_options=SOCKET_TIMEOUTS) as connection:
        connection.connect()
        below: Any = connection.connection  # py-amqp's, untyped
        option = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert below.transport.sock.getsockopt(*option) >= 10_000
