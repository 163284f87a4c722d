"""A real compute worker in a process of its own."""

import signal
import sys
from pathlib import Path

from tests.support.program import Program

from .client import Client

OWN_PACKAGE = Path(__file__).parent / "own_package"


class WorkerProcess(Program):
    """``python -m compute``; its children are its pool."""

    def __init__(self, client: Client, url: str, log: Path, **environment: str) -> None:
        self._client = client
        settings = {
            "PYTHONPATH": str(OWN_PACKAGE),
            "BROKER_URL": url,
            "CONCURRENCY": "1",
            "SHUTDOWN_TIMEOUT": "2",
            "REPORT_INTERVAL": "1",
            "TASK_START_TIMEOUT": "4",
            "COMPUTE_MODULES": "own_computations",
            "COMPUTE_TIME_LIMIT_GRACE": "1",
        }
        super().__init__([sys.executable, "-m", "compute"], log, settings | environment)

    def wait_until_ready(self) -> None:
        """Wait until the worker has announced its catalogue."""
        node = f"compute-{self.pid}@"

        def announced() -> bool:
            assert self.alive, f"the worker ended:\n{self.log}"
            return any(each.worker.startswith(node) for each in self._client.catalogues)

        self._client.until(announced, "ready worker")

    def works_on(self, client: Client) -> bool:
        """Have it run a task, and wait for the result."""
        return bool(client.outcome(client.compute("add", {"x": 1, "y": 2})).result == 3)

    def terminate(self, *, group: bool = False) -> int:
        """Ask it to stop and wait, while its results are read; how it has ended."""
        (self.send_to_all if group else self.send)(signal.SIGTERM)
        return self.await_end(meanwhile=self._client.drain)
