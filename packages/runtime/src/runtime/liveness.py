"""A file that a process touches while it can work: its age tells whether it is alive."""

import sys
import time
from pathlib import Path

INTERVAL = 5.0  # seconds between two touches
STALE = 30.0  # seconds after which a health check gives up


class LivenessFile:
    """The file of one process, touched while it can work. Without a path, nothing is written."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None

    def touch(self) -> None:
        """Show that the process is alive."""
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()

    def remove(self) -> None:
        """Show that the process has ended."""
        if self._path:
            self._path.unlink(missing_ok=True)


def age(path: str) -> float:
    """Seconds since the file was touched. Raises FileNotFoundError if there is none."""
    return time.time() - Path(path).stat().st_mtime


def main() -> None:
    """Health check: ``python -m runtime.liveness FILE`` exits with 1 if the file is stale."""
    try:
        seconds = age(sys.argv[1])
    except (FileNotFoundError, IndexError):
        sys.exit("not alive: there is no liveness file")
    if seconds > STALE:
        sys.exit(f"not alive: last sign of life {seconds:.0f} s ago")


if __name__ == "__main__":
    main()
