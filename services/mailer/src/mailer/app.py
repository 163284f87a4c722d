"""The mailer's Celery application and what its threads share."""

import logging
from typing import Any

from celery import signals

from mailer.config import read_or_exit
from mailer.ledger import Ledger
from mailer.pruning import Pruning
from mailer.servers import Servers
from mailer.throttle import Throttle
from worker.app import create_app

CHECK_TIMEOUT = 5.0  # seconds to wait for any one answer of a mail server when it is checked

settings = read_or_exit()
ledger = Ledger(settings.ledger_url, threads=settings.worker.concurrency, days=settings.ledger_days)
pruning = Pruning(ledger)
servers = Servers(settings.smtp_servers, timeout=settings.smtp_timeout)
throttle = Throttle(settings.rates)
app = create_app(
    "mailer",
    settings.worker,
    pool="threads",
    checks={"smtp": Servers(settings.smtp_servers, timeout=CHECK_TIMEOUT).problem},
    include=["mailer.tasks"],
)

logging.getLogger("psycopg.pool").setLevel(logging.WARNING)  # INFO has a line for each loan


@signals.worker_ready.connect
def _begin(**_: Any) -> None:
    pruning.start()


@signals.worker_shutdown.connect
def _close(**_: Any) -> None:
    pruning.stop()
    servers.close()
    ledger.close()
