"""The person who runs a command: their name, and questions to them."""

import getpass
import os
import sys

from django.core.management.base import CommandError

USAGE_ERROR = 2  # the exit status


def operator() -> str:
    """Name who runs the command; in a container the user may have no name."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"user {os.getuid()}"
    return f"{name} on the command line"


def confirm(question: str) -> None:
    """Ask on the terminal. Raises CommandError unless the answer is yes."""
    if not sys.stdin.isatty():
        raise CommandError("nobody to ask here: say --yes", returncode=USAGE_ERROR)
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("nothing done")
