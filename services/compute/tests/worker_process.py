"""A real compute worker in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from tests.measuring import coverage_settings

from .client import PATIENCE, Client

OWN_PACKAGE = Path(__file__).parent / "own_package"


class WorkerProcess:
    """``python -m compute`` with its environment, its log, and its pool's processes."""

    def __init__(self, client: Client, url: str, log: Path, **environment: str) -> None:
        self._client = client
        self.log_file = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "compute"],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(OWN_PACKAGE),
                    "BROKER_URL": url,
                    "CONCURRENCY": "1",
                    "SHUTDOWN_TIMEOUT": "2",
                    "REPORT_INTERVAL": "1",
                    "TASK_START_TIMEOUT": "4",
                    "COMPUTE_MODULES": "own_computations",
                    "COMPUTE_TIME_LIMIT_GRACE": "1",
                    **coverage_settings(),
                    **environment,
                },
                cwd=log.parent,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until the worker has announced its catalogue."""
        node = f"compute-{self.process.pid}@"

        def announced() -> bool:
            assert self.alive, f"the worker ended:\n{self.log}"
            return any(each.worker.startswith(node) for each in self._client.catalogues)

        self._client.until(announced, "ready")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    @property
    def log(self) -> str:
        """All that it has written."""
        return self.log_file.read_text(encoding="utf-8")

    @property
    def log_lines(self) -> list[dict[str, object]]:
        """Its structured log, decoded."""
        lines = self.log.splitlines()
        return [msgspec.json.decode(line) for line in lines if line.startswith("{")]

    def wait_for_log(self, event: str, task_id: str) -> dict[str, object]:
        """Wait for a line of the log about a task, and return it."""
        return self.wait_for_line(event, task_id=task_id)

    def wait_for_line(self, event: str, **fields: object) -> dict[str, object]:
        """Wait for a line of the log with these fields, and return it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for line in self.log_lines:
                if line.items() >= {"event": event, **fields}.items():
                    return line
            assert time.monotonic() < deadline, f"no {event!r} in the log:\n{self.log}"
            time.sleep(0.05)

    @property
    def pool(self) -> list[int]:
        """Process ids of its children."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split()]

    def terminate(self, *, group: bool = False) -> int:
        """Ask it to stop and wait, as a supervisor does; returns its exit code.

        Some supervisors, such as honcho, signal the whole process group.
        """
        (os.killpg if group else os.kill)(self.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while self.alive:
            assert time.monotonic() < deadline, f"the worker does not stop:\n{self.log}"
            self._client.drain()
        return self.process.returncode

    def end(self) -> int:
        """Ask it to stop and wait, without a broker to read from."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it whatever it does; its children end with it."""
        self.process.kill()
        self.process.wait()
