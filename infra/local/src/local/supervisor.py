"""Runs the Procfile's processes: scales them, and starts again what dies."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from honcho.environ import parse_procfile  # type: ignore[import-untyped]

from local.child import Child
from local.console import Console
from local.errors import LocalError
from local.restarts import Restarts

STOP_SECONDS = 30.0  # a worker's soft shutdown takes up to 20
# Flower waits for answers of workers that have stopped already, and has nothing to lose.
SHORTER_STOP_SECONDS = {"flower": 1.0}
POLL_SECONDS = 0.1
SHOWN_LINES = 5  # of a process that is started again
# These listen on a port, which a second one could not take.
SINGLE = ("web", "flower", "smtp")


class ProcessDiedError(LocalError):
    """A process cannot be started, so all are stopped."""


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
        self._waiting: dict[str, float] = {}  # for their next start, at a time of this clock
        self._restarts: dict[str, Restarts] = defaultdict(Restarts)  # of each kind of process
        self._asked_to_stop = threading.Event()

    def start(self) -> None:
        for name in self._commands:
            self._add(name)

    def scale(self, counts: Mapping[str, int]) -> None:
        """Start or stop processes until there are `counts` of each. Raises LocalError."""
        check_scale(counts, self._commands)
        for name, count in counts.items():
            running = self._numbers(name)
            for number in running[count:]:
                self._dismiss(f"{name}.{number}")
            for _ in range(count - len(running)):
                self._add(name)
            self._console.say(f"{name}: {len(running)} → {count}")

    def ask_to_stop(self) -> None:
        """Make `tick` say so; called a second time, stop at once. Safe in a signal handler."""
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
            else:
                self._restarts[_kind(child.name)].note_life(child.age)
        for name, due in list(self._waiting.items()):
            if time.monotonic() >= due:
                del self._waiting[name]
                self._start(name)
        return not self._asked_to_stop.wait(POLL_SECONDS)

    def stop(self) -> None:
        """Stop every process, all at the same time, and wait for them."""
        self._waiting.clear()
        for child in self._children.values():
            _stop(child)
        while self._children:
            for child in list(self._children.values()):
                child.enforce()
                if child.exit_status is not None:
                    self._remove(child)
            time.sleep(POLL_SECONDS)

    def _add(self, name: str) -> None:
        taken = self._numbers(name, stopping=True)
        number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        self._start(f"{name}.{number}")

    def _start(self, name: str) -> None:
        child = Child(
            name,
            self._commands[_kind(name)],
            self._environment,
            self._directory,
            self._console.write,
        )
        self._children[name] = child
        self._console.say(f"{name} started (process {child.pid})")
        self._write_state()

    def _dismiss(self, name: str) -> None:
        if name in self._children:
            _stop(self._children[name])
        self._waiting.pop(name, None)
        self._write_state()

    def _remove(self, child: Child) -> None:
        child.finish()
        del self._children[child.name]
        if child.stopping:
            self._console.say(f"{child.name} stopped")
        else:
            self._plan_restart(child)
        self._write_state()

    def _plan_restart(self, child: Child) -> None:
        status = child.exit_status
        pause = self._restarts[_kind(child.name)].note_death(child.age, status)
        lines = [f"  {line}" for line in self._console.last_lines(child.name)]
        death = f"{child.name} ended by itself with status {status}"
        if pause is None:
            raise ProcessDiedError("\n".join([f"{death}. Its last lines:", *lines]))
        self._waiting[child.name] = time.monotonic() + pause
        what = f"{death}, and is started again in {pause:.0f} s. Its last lines:"
        self._console.say("\n".join([what, *lines[-SHOWN_LINES:]]))

    def _numbers(self, name: str, *, stopping: bool = False) -> list[int]:
        """The numbers of a kind's processes, also of those that wait for their next start."""
        children = self._children.values()
        staying = [child.name for child in children if stopping or not child.stopping]
        names = [*staying, *self._waiting]
        return sorted(int(each.rpartition(".")[2]) for each in names if _kind(each) == name)

    def _write_state(self) -> None:
        staying = [child for child in self._children.values() if not child.stopping]
        pids = dict.fromkeys(self._waiting) | {child.name: child.pid for child in staying}
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
            raise LocalError(
                f"There is no process {name!r}; there are {', '.join(commands)}. The Procfile is "
                "read when `make up` starts: after a change, `make down` and start it again."
            )
        if name in SINGLE and count > 1:
            raise LocalError(f"{name} listens on a port, so only one can run.")


def _stop(child: Child) -> None:
    child.stop(SHORTER_STOP_SECONDS.get(_kind(child.name), STOP_SECONDS))


def _kind(child: str) -> str:
    return child.rpartition(".")[0]
