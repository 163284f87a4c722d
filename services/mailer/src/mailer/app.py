"""The mailer's Celery application and what its threads share."""

import logging
from typing import Any

from celery import signals

from contracts.worker import POOLS, create_app
from mailer.config import read_or_exit
from mailer.connections import Connections
from mailer.ledger import Ledger
from mailer.pruning import Pruning

CHECK_TIMEOUT = 5.0  # seconds to wait for any one answer of the mail server when it is checked

settings = read_or_exit()
ledger = Ledger(settings.ledger_url, threads=settings.worker.concurrency)
pruning = Pruning(ledger, settings.ledger_days)
connections = Connections(settings.smtp, timeout=settings.smtp_timeout)
app = create_app(
    "mailer",
    settings.worker,
    checks={"smtp": Connections(settings.smtp, timeout=CHECK_TIMEOUT).problem},
    include=["mailer.tasks"],
    worker_pool=POOLS["threads"],
)

logging.getLogger("psycopg.pool").setLevel(logging.WARNING)  # it tells of each connection lent


@signals.worker_ready.connect
def _begin(**_: Any) -> None:
    pruning.start()


@signals.worker_shutdown.connect
def _close(**_: Any) -> None:
    pruning.stop()
    connections.close()
    ledger.close()
