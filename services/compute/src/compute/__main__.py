"""``python -m compute``: work until told to stop."""

import sys

from contracts import worker
from contracts.errors import WarrenError

EX_CONFIG = 78  # of sysexits.h: a supervisor need not try again, somebody has to change something


def main() -> None:
    """Start the worker; say what is wrong with settings, computations or topology."""
    try:
        from compute.app import app  # reads the settings, and may refuse them

        worker.run(app, pool="prefork")
    except WarrenError as error:
        print(f"compute cannot start: {error}", file=sys.stderr)
        sys.exit(EX_CONFIG)


if __name__ == "__main__":
    main()
