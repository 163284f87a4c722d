"""One of Warren's processes, as the Procfile names it."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path


class Child:
    """A process in a session of its own. A thread passes its output to `write`, line by line."""

    def __init__(
        self,
        name: str,
        command: str,
        environment: Mapping[str, str],
        directory: Path,
        write: Callable[[str, str], None],
    ) -> None:
        """Start the process. It is told to stop when this run ends, even by kill -9."""
        self.name = name
        self.stopping = False
        self._started = time.monotonic()
        self._stop_before = float("inf")
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", "sh", "-c", command],
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(write,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

    @property
    def exit_status(self) -> int | None:
        """The exit status: None while the process runs, negative if a signal ended it."""
        return self._process.poll()

    def stop(self, seconds: float) -> None:
        """Ask the process to stop. After `seconds` `enforce` kills it.

        Only the main process gets the signal. A Celery worker's pool would end at once, and its
        tasks would run twice.
        """
        self.stopping = True
        self._stop_before = min(self._stop_before, time.monotonic() + seconds)
        if self.exit_status is None:
            self._process.terminate()

    def enforce(self) -> None:
        """Kill the process if it was asked to stop and its time is over."""
        if self.exit_status is None and time.monotonic() > self._stop_before:
            self._kill_group()

    def finish(self) -> None:
        """After the process has ended: kill what it left running, and read its last lines."""
        self._process.wait()
        self._kill_group()
        self._reader.join(timeout=2)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _read(self, write: Callable[[str, str], None]) -> None:
        stream = self._process.stdout
        if stream:
            for line in stream:
                write(self.name, line.rstrip("\n"))
            stream.close()
