"""Hundreds of forged messages: each becomes a dead letter, and the worker lives on.

``make faults ARGS='--only forged'`` sends ten thousand.
"""

import resource
from pathlib import Path

from contracts.tasks import RUN_COMPUTATION
from tests.support.forgery import Forger

from .messaging import PAYLOAD, BareWorker

COUNT = 300
GROWTH = 100 * 2**20  # bytes; far less than the messages that came, were they kept


def memory(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def test_forged_messages_become_dead_letters(worker: BareWorker) -> None:
    before = memory(worker.pid)
    forgeries = list(Forger(20, RUN_COMPUTATION.name, PAYLOAD).forge(COUNT))
    for forgery in forgeries:
        properties = {"correlation_id": forgery.marker} | forgery.properties
        worker.web.publish(forgery.body, forgery.headers, **properties)
    for forgery in forgeries:
        assert worker.web.dead_letter(forgery.marker).body == forgery.body

    assert worker.alive
    assert worker.works()
    assert "Connection to broker lost" not in worker.log
    assert memory(worker.pid) - before < GROWTH
