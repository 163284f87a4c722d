#!/usr/bin/env python
"""Run one of web's commands: ``manage.py help`` lists them."""

import os
import socket
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError

from contracts.errors import SettingsError


def main() -> None:
    """Run the command line. Wrong settings and an absent database end it without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")
    # PostgreSQL shows this name with each connection: so the doctor knows which processes run.
    name = " ".join(("warren", *sys.argv[1:2], f"{os.getpid()}@{socket.gethostname()}"))
    os.environ.setdefault("PGAPPNAME", name)
    try:
        execute_from_command_line(sys.argv)
    except SettingsError as error:
        sys.stderr.write(f"web cannot start: {error}\n")
        sys.exit(os.EX_CONFIG)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None):  # PostgreSQL has answered, so it is there
            raise
        sys.stderr.write(f"PostgreSQL cannot be reached: {error}\n")
        sys.exit(os.EX_TEMPFAIL)


if __name__ == "__main__":
    main()
