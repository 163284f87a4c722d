"""Runs the Procfile's processes: scales them, and stops all when one dies."""

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from honcho.environ import parse_procfile  # type: ignore[import-untyped]

from local.child import Child
from local.console import Console
from local.errors import LocalError

STOP_SECONDS = 30.0  # a worker's soft shutdown takes up to 20
# Flower waits for answers of workers that have stopped already, and has nothing to lose.
SHORTER_STOP_SECONDS = {"flower": 1.0}
POLL_SECONDS = 0.1
# These listen on a port, which a second one could not take.
SINGLE = ("web", "flower", "smtp")


class ProcessDiedError(LocalError):
    """A process ended by itself, so all were stopped."""


class Supervisor:
    """The processes of one run, named `<process>.<number>` like `compute.2`."""

    def __init__(
        self,
        commands: Mapping[str, str],
        environment: Mapping[str, str],
        directory: Path,
        console: Console,
        state: Path,
    ) -> None:
        """`state` is a file that says which processes run, for other commands to read."""
        self._commands = commands
        self._environment = environment
        self._directory = directory
        self._console = console
        self._state = state
        self._children: dict[str, Child] = {}
        self._asked_to_stop = threading.Event()

    def start(self) -> None:
        for name in self._commands:
            self._add(name)

    def scale(self, counts: Mapping[str, int]) -> None:
        """Start or stop processes until there are `counts` of each."""
        check_scale(counts, self._commands)
        for name, count in counts.items():
            running = self._numbers(name)
            for number in running[count:]:
                _stop(self._children[f"{name}.{number}"])
            for _ in range(count - len(running)):
                self._add(name)
            self._console.say(f"{name}: {len(running)} → {count}")

    def ask_to_stop(self) -> None:
        """Make `wait` return; called a second time, stop at once. Safe in a signal handler."""
        if self._asked_to_stop.is_set():
            for child in self._children.values():
                child.stop(0)
        self._asked_to_stop.set()

    def tick(self) -> bool:
        """Look after the processes once; False when all shall stop. Raises ProcessDiedError."""
        for child in list(self._children.values()):
            child.enforce()
            if child.exit_status is not None:
                self._remove(child)
        return not self._asked_to_stop.wait(POLL_SECONDS)

    def stop(self) -> None:
        """Stop every process, all at the same time, and wait for them."""
        for child in self._children.values():
            _stop(child)
        while self._children:
            for child in list(self._children.values()):
                child.enforce()
                if child.exit_status is not None:
                    self._remove(child)
            time.sleep(POLL_SECONDS)

    def _add(self, name: str) -> None:
        taken = {int(child.rpartition(".")[2]) for child in self._children if _kind(child) == name}
        number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        child = Child(
            f"{name}.{number}",
            self._commands[name],
            self._environment,
            self._directory,
            self._console.write,
        )
        self._children[child.name] = child
        self._console.say(f"{child.name} started (process {child.pid})")
        self._write_state()

    def _remove(self, child: Child) -> None:
        child.finish()
        del self._children[child.name]
        self._write_state()
        status = child.exit_status
        if child.stopping:
            self._console.say(f"{child.name} stopped")
            return
        lines = "\n".join(f"  {line}" for line in self._console.last_lines(child.name))
        raise ProcessDiedError(
            f"{child.name} ended by itself with status {status}. Its last lines:\n{lines}"
        )

    def _numbers(self, name: str) -> list[int]:
        staying = [child for child in self._children.values() if not child.stopping]
        return sorted(int(c.name.rpartition(".")[2]) for c in staying if _kind(c.name) == name)

    def _write_state(self) -> None:
        pids = {child.name: child.pid for child in self._children.values() if not child.stopping}
        partial = self._state.with_suffix(".partial")
        partial.write_text(json.dumps(pids))
        partial.rename(self._state)


def read_procfile(path: Path) -> dict[str, str]:
    """The commands by process, in the file's order."""
    return dict(parse_procfile(path.read_text()).processes)


def check_scale(counts: Mapping[str, int], commands: Mapping[str, str]) -> None:
    """Refuse to scale what does not exist or can only run once."""
    for name, count in counts.items():
        if name not in commands:
            raise LocalError(f"There is no process {name}; there are {', '.join(commands)}.")
        if name in SINGLE and count > 1:
            raise LocalError(f"{name} listens on a port, so only one can run.")


def _stop(child: Child) -> None:
    child.stop(SHORTER_STOP_SECONDS.get(_kind(child.name), STOP_SECONDS))


def _kind(child: str) -> str:
    return child.rpartition(".")[0]
