"""One process of Warren, as the Procfile starts it, that can be ended in every way."""

import shlex
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.servers.daemon import Daemon

from .polling import poll
from .program import records

CHECKOUT = Path(__file__).parents[2]
STOP_SECONDS = 30.0


class Process:
    """Started, stopped, killed and frozen by tests; its log is kept over all of its runs."""

    def __init__(
        self,
        name: str,
        command: str,
        environment: Mapping[str, str],
        directory: Path,
        ready: Callable[["Process"], bool],
    ) -> None:
        """Start nothing yet.

        Args:
            name: of the process.
            command: of the shell, in the checkout.
            environment: all of it.
            directory: where its logs go.
            ready: whether the running process can be used.
        """
        self.name = name
        self.liveness_file = directory / f"{name}.alive"
        self._command = command
        self._environment = dict(environment) | {"LIVENESS_FILE": str(self.liveness_file)}
        self._directory = directory
        self._ready = ready
        self._runs: list[Daemon] = []

    @property
    def running(self) -> bool:
        return bool(self._runs) and self._runs[-1].running

    @property
    def ready(self) -> bool:
        """Whether it runs and can be used."""
        return self.running and self._ready(self)

    def launch(self, **changes: str) -> None:
        """Start it without waiting; ``changes`` are to the environment."""
        assert not self.running, f"{self.name} runs already"
        self.stop()  # the children of a killed main process, which a container would not survive
        run = Daemon(f"{self.name}-{len(self._runs) + 1}", self._directory, signal.SIGTERM)
        self._runs.append(run)
        command = f"cd {shlex.quote(str(CHECKOUT))} && {self._command}"
        run.launch(["sh", "-c", command], self._environment | changes)

    def wait_until_ready(self) -> None:
        poll(self._ready_or_dead, what=f"sign that {self.name} is ready", explain=self.tail)

    def start(self, **changes: str) -> None:
        self.launch(**changes)
        self.wait_until_ready()

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait; a no-op if it does not run."""
        if self._runs:
            self._runs[-1].stop(STOP_SECONDS)

    def kill(self) -> None:
        """End it and its children at once (SIGKILL)."""
        self._runs[-1].kill()

    def kill_main(self) -> None:
        """End its main process alone at once; `stop`, `kill` or the next start ends the rest."""
        self._runs[-1].kill_main()

    def kill_child(self, pid: int) -> None:
        """End one of its children at once: a worker of gunicorn's, or a process of a pool."""
        self._runs[-1].kill_child(pid)

    @property
    def children(self) -> dict[int, str]:
        """Its children's command lines by pid."""
        return self._runs[-1].children if self._runs else {}

    @property
    def pids(self) -> list[int]:
        """Its own pid and those of its children."""
        return self._runs[-1].pids if self._runs else []

    def pause(self) -> None:
        """Freeze it and its children (SIGSTOP)."""
        self._runs[-1].pause()

    def resume(self) -> None:
        """Let it go on."""
        self._runs[-1].resume()

    @property
    def exit_status(self) -> int | None:
        """How its latest run has ended; negative for a signal."""
        return self._runs[-1].exit_status

    def twin(self, suffix: str = "twin") -> "Process":
        """Make another one of the kind, which is not started yet."""
        return Process(
            f"{self.name}-{suffix}", self._command, self._environment, self._directory, self._ready
        )

    @property
    def log(self) -> str:
        """What all of its runs have written."""
        return "".join(_text(run) for run in self._runs)

    @property
    def last_log(self) -> str:
        """What its latest run has written."""
        return _text(self._runs[-1]) if self._runs else ""

    def records(self, **fields: object) -> list[dict[str, Any]]:
        """Lines of the log that are JSON and have these fields."""
        return records(self.log.splitlines(), **fields)

    def tail(self, count: int = 15) -> str:
        """The end of its log."""
        lines = [line[:500] for line in self.log.splitlines()[-count:]]
        return "\n".join([f"--- the end of {self.name}'s log:", *lines])

    def _ready_or_dead(self) -> bool:
        assert self.running, f"{self.name} ended by itself\n{self.tail()}"
        return self._ready(self)


def _text(run: Daemon) -> str:
    return run.log.read_text(errors="replace") if run.log.exists() else ""
