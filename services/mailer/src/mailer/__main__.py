"""``python -m mailer`` starts the worker."""

import sys

import psycopg

from contracts import logging
from contracts.errors import TopologyError
from contracts.worker import run
from mailer.app import app, ledger, settings

LEDGER_WAIT = 60.0  # seconds: database and mailer may be started together


def main() -> None:
    """Check what the worker stands on, then work until told to stop."""
    logging.configure(
        "mailer", log_format=settings.worker.log_format, level=settings.worker.log_level
    )
    try:
        ledger.prepare(LEDGER_WAIT)
        run(app, pool="threads")
    except psycopg.Error:
        sys.exit("mailer: the ledger's database does not answer; is LEDGER_URL right?")
    except TopologyError as error:
        sys.exit(f"mailer: {error}")


if __name__ == "__main__":
    main()
