"""``python -m compute``: work until told to stop."""

import os
import sys

from contracts import worker
from contracts.errors import WarrenError


def main() -> None:
    """Start the worker; say what is wrong with settings or computations."""
    try:
        from compute.app import app  # reads the settings, and may refuse them

        worker.run(app, pool="prefork")
    except WarrenError as error:
        print(f"compute cannot start: {error}", file=sys.stderr)
        sys.exit(os.EX_CONFIG)  # a supervisor need not try again, somebody has to act


if __name__ == "__main__":
    main()
