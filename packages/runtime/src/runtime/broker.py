"""How every process connects to RabbitMQ: settings for kombu and for Celery."""

import socket
from typing import Any

from contracts import topology

HEARTBEAT = 10  # seconds
# A read or write fails after so many seconds without a byte from the broker. By default, py-amqp
# sets TCP_USER_TIMEOUT to one second: each hiccup of the network would end all runs.
SOCKET_TIMEOUTS: dict[str, Any] = {
    "read_timeout": 15,
    "write_timeout": 15,
    "socket_settings": {socket.TCP_USER_TIMEOUT: 15_000},  # milliseconds
}
CELERY = {
    # A broker that vanished counts as lost after two missed heartbeats. Celery looks twice within
    # each heartbeat, so this takes at most 2.5 heartbeats: 25 seconds.
    "broker_heartbeat": HEARTBEAT,
    "broker_connection_timeout": 4.0,
    # For connections whose heartbeats nobody checks, such as those of the pool's processes.
    "broker_transport_options": SOCKET_TIMEOUTS,
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],  # a pickle would let anybody who can publish run any code
    "task_create_missing_queues": False,  # a misspelt name would create a classic queue
    "task_default_exchange": topology.TASKS.name,
    "task_default_exchange_type": topology.TASKS.type,
    "enable_utc": True,
}
