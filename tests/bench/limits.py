"""What the machine and its servers can do at all: no system is faster."""

import os
import subprocess
import tempfile
import time
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp

from local.servers import packages
from local.servers.programs import library_environment

from .servers import PACKAGES, Servers

MESSAGES = 5_000
BODY = b"x" * 1_000  # bytes; a task message has about as many
QUORUM = {"x-queue-type": "quorum"}
SYNCS = 200
BLOCK = b"x" * 8_192  # bytes, one page of PostgreSQL's log


def broker(servers: Servers) -> dict[str, float]:
    """Messages in a second through a quorum queue: pipelined publishing, then consuming."""
    settings = servers.broker.settings
    host = f"127.0.0.1:{settings.amqp_port}"
    with amqp.Connection(
        host, userid=settings.user, password=settings.password, virtual_host=settings.vhost
    ) as connection:
        channel: Any = connection.channel()
        channel.confirm_select()
        channel.queue_declare("bench", durable=True, auto_delete=False, arguments=QUORUM)
        published = _publish(connection, channel)
        consumed = _consume(connection, channel)
        channel.queue_delete("bench")
    return {"published": published, "consumed": consumed}


def _publish(connection: Any, channel: Any) -> float:
    confirmed = 0

    def note(tag: int, multiple: bool) -> None:
        nonlocal confirmed
        confirmed = tag if multiple else confirmed + 1

    channel.events["basic_ack"].add(note)
    message = amqp.Message(BODY, delivery_mode=2)
    began = time.perf_counter()
    for _ in range(MESSAGES):
        channel.basic_publish(message, routing_key="bench")
    while confirmed < MESSAGES:
        connection.drain_events(timeout=30)
    return MESSAGES / (time.perf_counter() - began)


def _consume(connection: Any, channel: Any) -> float:
    seen = 0

    def take(message: Any) -> None:
        nonlocal seen
        seen += 1
        if seen % 100 == 0:
            channel.basic_ack(message.delivery_tag, multiple=True)

    channel.basic_qos(0, 500, False)
    began = time.perf_counter()
    consumer = channel.basic_consume("bench", callback=take)
    while seen < MESSAGES:
        connection.drain_events(timeout=30)
    seconds = time.perf_counter() - began
    channel.basic_cancel(consumer)
    return MESSAGES / seconds


def database(servers: Servers, seconds: int) -> dict[str, float]:
    """Transactions in a second of PostgreSQL's own bench, with four clients."""
    programs = packages.postgresql(PACKAGES, print)
    url = urlsplit(servers.database.create_database("pgbench", "warren"))
    environment = {
        "LC_ALL": "C.UTF-8",
        "PGHOST": str(url.hostname),
        "PGPORT": str(url.port),
        "PGDATABASE": "pgbench",
        "PGUSER": str(url.username),
        "PGPASSWORD": unquote(str(url.password)),
        **library_environment(programs.libraries),
    }

    def run(*options: str) -> str:
        command = [str(programs.programs / "pgbench"), *options]
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        ).stdout

    run("--initialize", "--quiet")
    shown = run("--skip-some-updates", "--client=4", f"--time={seconds}")
    servers.database.drop_database("pgbench")
    [rate] = [line.split()[2] for line in shown.splitlines() if line.startswith("tps")]
    return {"transactions": float(rate)}


def disk() -> dict[str, float]:
    """Milliseconds that one block takes to the disk."""
    with tempfile.TemporaryFile() as file:
        began = time.perf_counter()
        for _ in range(SYNCS):
            file.write(BLOCK)
            file.flush()
            os.fdatasync(file.fileno())
        return {"sync": 1000 * (time.perf_counter() - began) / SYNCS}
