"""How a worker's connections to the broker behave below AMQP."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import RecoverableConnectionError
from kombu import Connection

from local.servers.broker import Broker
from runtime.broker import SOCKET_TIMEOUTS
from worker.consumer import StrictConsumer
from worker.stranded import Stranded


def test_a_short_silence_of_the_network_ends_no_connection(broker: Broker) -> None:
    with Connection(broker.settings.url(), transport_options=SOCKET_TIMEOUTS) as connection:
        connection.connect()
        below: Any = connection.connection  # py-amqp's, untyped
        option = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert below.transport.sock.getsockopt(*option) >= 10_000


def test_a_connection_whose_end_only_an_acknowledgement_has_met_is_noticed(broker: Broker) -> None:
    consumer: Any = StrictConsumer.__new__(StrictConsumer)  # all of it would be a whole worker
    with Connection(broker.settings.url(), transport_options=SOCKET_TIMEOUTS) as connection:
        consumer.connection = connection
        consumer.task_consumer = connection.Consumer(auto_declare=False)
        consumer.task_consumer.channel.callbacks["tag"] = print
        consumer._consuming, consumer._stranded = True, Stranded(60)
        consumer.pool = SimpleNamespace(num_processes=1)
        consumer.listen()
        below: Any = connection.connection
        below.transport.sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ConnectionError):
            consumer.task_consumer.channel.basic_ack(1)
        with pytest.raises(RecoverableConnectionError):
            consumer.listen()
