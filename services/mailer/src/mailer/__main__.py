"""``python -m mailer`` starts the worker."""

import os
import sys

import psycopg

from contracts.errors import SettingsError
from mailer.app import app, ledger, settings
from runtime import logging
from worker.main import run


def main() -> None:
    """Wait for the ledger's database, then work until told to stop."""
    logging.configure(
        "mailer", log_format=settings.worker.log_format, level=settings.worker.log_level
    )
    try:
        ledger.prepare(settings.ledger_wait)
        run(app)
    except psycopg.Error:
        wait = settings.ledger_wait
        sys.exit(f"mailer: the ledger's database did not let us in for {wait:g} s; see LEDGER_URL")
    except SettingsError as error:
        sys.stderr.write(f"mailer: {error}\n")
        sys.exit(os.EX_CONFIG)


if __name__ == "__main__":
    main()
