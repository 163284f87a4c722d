"""Thousands of forged messages: each becomes a dead letter, and the worker lives on."""

import os

from contracts.tasks import SEND_EMAIL
from local.forgery import Forger

from .conftest import StartServer, StartWorker
from .delivering import MAIL, SENT
from .web import Web

SEED = int(os.environ.get("FORGERY_SEED", "21"))
COUNT = int(os.environ.get("FORGERIES", "1500"))


def test_forged_messages_become_dead_letters(
    web: Web, smtp_server: StartServer, start_worker: StartWorker
) -> None:
    print(f"FORGERY_SEED={SEED} FORGERIES={COUNT}")
    server = smtp_server()
    worker = start_worker(server)
    for batch in Forger(SEED, SEND_EMAIL.name, SEND_EMAIL.encode(MAIL)).batches(COUNT):
        for forgery in batch:
            properties = {"correlation_id": forgery.marker} | forgery.properties
            web.publish(forgery.body, forgery.headers, **properties)
        markers = {forgery.marker for forgery in batch}
        web.wait_for(lambda: set(web.dead_ids()) >= markers)  # noqa: B023 -- called at once
        web.dead.clear()

    assert worker.alive
    assert server.mails == []
    assert web.await_receipt(web.ask(MAIL)) == SENT
    assert "Connection to broker lost" not in worker.log
