"""One run at a time in a checkout, by a lock that the kernel releases when its holder dies."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.errors import LocalError

STOP_SECONDS = 60.0


class RunLock:
    """The lock that `up` and `demo` hold while they run. Its file names the holder's pid."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "run.lock"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises LocalError if another process has it."""
        with self._path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalError(
                    f"Warren already runs from this checkout (process {self.holder()}). "
                    "`make down` stops it, `make logs` shows what it does."
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield
            file.truncate(0)

    def holder(self) -> int | None:
        """Return the pid of the process that holds the lock now; None if none does."""
        with self._path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                return int(file.read() or 0) or None
        return None

    def stop_holder(self) -> bool:
        """Ask the holder to stop, and wait; False if nobody held the lock.

        Raises LocalError if it does not stop in time.
        """
        holder = self.holder()
        if holder is None:
            return False
        os.kill(holder, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.holder() == holder:
            if time.monotonic() > deadline:
                raise LocalError(f"Process {holder} has not stopped after {STOP_SECONDS:.0f} s.")
            time.sleep(0.1)
        return True
