"""Thousands of forged messages: each becomes a dead letter, and the worker lives on."""

import os
import resource
from pathlib import Path

from contracts.tasks import RUN_COMPUTATION
from local.forgery import Forger

from .client import Client
from .conftest import StartWorker

SEED = int(os.environ.get("FORGERY_SEED", "20"))
COUNT = int(os.environ.get("FORGERIES", "1500"))
PAYLOAD = {"job_id": "1", "computation": "add", "arguments": {"x": 1, "y": 2}}
GROWTH = 100 * 2**20  # bytes; far less than the messages that came, were they kept


def memory(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def test_forged_messages_become_dead_letters(client: Client, start_worker: StartWorker) -> None:
    print(f"FORGERY_SEED={SEED} FORGERIES={COUNT}")
    worker = start_worker(CONCURRENCY="2")
    before = memory(worker.process.pid)
    for batch in Forger(SEED, RUN_COMPUTATION.name, PAYLOAD).batches(COUNT):
        for forgery in batch:
            properties = {"correlation_id": forgery.marker} | forgery.properties
            client.publish(forgery.body, forgery.headers, **properties)
        markers = {forgery.marker for forgery in batch}
        client.until(
            lambda: {str(m.properties.get("correlation_id")) for m in client.dead} >= markers,  # noqa: B023 -- called at once
            "dead letter of each",
        )
        client.dead.clear()

    assert worker.alive
    assert client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3
    assert "Connection to broker lost" not in worker.log
    assert memory(worker.process.pid) - before < GROWTH
