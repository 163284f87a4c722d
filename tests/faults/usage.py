"""How much of the machine Warren uses: what must not grow."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.management import Management, QueueFigures
from tests.support.process import Process
from tests.support.stack import Stack

CONNECTIONS = """
    SELECT usename, application_name, count(*) AS number FROM pg_stat_activity
    WHERE datname IS NOT NULL AND usename IS NOT NULL AND pid <> pg_backend_pid()
    GROUP BY usename, application_name
"""
KIBIBYTE = 1024
GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True)
class ProcessUsage:
    """What a process and its children use together."""

    processes: int
    memory: int  # bytes; what several share is divided between them (PSS)
    files: int  # open descriptors: files, sockets, pipes


@dataclass(frozen=True)
class Usage:
    """All at one time. RabbitMQ's figures are up to 2 s old."""

    processes: Mapping[str, ProcessUsage]  # by the process's name
    database_connections: Mapping[str, int]  # by role/application
    broker_connections: Mapping[str, int]  # by user, without what makes it one of this run
    broker_channels: Mapping[str, int]  # by user
    broker_memory: int  # bytes, as RabbitMQ counts them
    queues: Mapping[str, QueueFigures]

    @property
    def memory(self) -> int:
        """Bytes that all of Warren's own processes use."""
        return sum(process.memory for process in self.processes.values())


def measure(stack: Stack, management: Management, processes: Iterable[Process]) -> Usage:
    """Take a sample.

    Args:
        stack: whose database is asked for its connections.
        management: of the vhost that it uses.
        processes: whose memory and files count.
    """
    connections = management.connections()
    return Usage(
        processes={process.name: _process_usage(process.pids) for process in processes},
        database_connections={
            f"{row['usename']}/{row['application_name']}": row["number"]
            for row in stack.rows(CONNECTIONS)
        },
        broker_connections=Counter(_user(connection) for connection in connections),
        broker_channels=_channels(connections),
        broker_memory=management.memory(),
        queues=management.queues(),
    )


def _process_usage(pids: list[int]) -> ProcessUsage:
    return ProcessUsage(len(pids), sum(map(_memory, pids)), sum(map(_files, pids)))


def _memory(pid: int) -> int:
    with suppress(*GONE):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * KIBIBYTE
    return 0


def _files(pid: int) -> int:
    with suppress(*GONE):
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 -- a count needs no paths
    return 0


def _channels(connections: list[dict[str, Any]]) -> dict[str, int]:
    channels: Counter[str] = Counter()
    for connection in connections:
        channels[_user(connection)] += connection.get("channels", 0)
    return channels


def _user(connection: dict[str, Any]) -> str:
    return str(connection.get("user", "")).partition(".")[0]
