"""Runs the Procfile's processes: scales them, restarts them, and starts dead ones again."""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from honcho.environ import parse_procfile  # type: ignore[import-untyped]

from local.errors import LocalError
from local.restarts import Restarts
from local.run.child import Child
from local.run.console import Console
from local.run.process_names import kind, require_known, select

STOP_SECONDS = 30.0  # a worker's soft shutdown takes up to 20
# Flower has nothing to lose, and would wait for answers of workers that have stopped already.
SHORTER_STOP_SECONDS = {"flower": 1.0}
POLL_SECONDS = 0.1
FAILED_START_PAUSE = 5.0
SHOWN_LINES = 5  # of a process that is started again
# These listen on a port, which a second process could not take.
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
        """Start nothing yet. The file `state` tells other commands which processes run."""
        self._commands = commands
        self._environment = environment
        self._directory = directory
        self._console = console
        self._state = state
        self._children: dict[str, Child] = {}
        self._waiting: dict[str, float] = {}  # time.monotonic() of their next start
        self._returning: set[str] = set()  # stopping, to be started again
        self._restarts: dict[str, Restarts] = defaultdict(Restarts)  # of each kind of process
        self._stop_requests = 0

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

    def restart(self, names: Collection[str]) -> None:
        """Stop processes in order, and start each again once it has ended. Raises LocalError.

        Each of `names` is a kind, such as compute, or one process, such as compute.2.
        """
        staying = self._staying()
        require_known(names, staying, self._commands)
        chosen = select(names, staying)
        if not chosen:
            raise LocalError(
                f"No process of {', '.join(names)} runs. Example of starting one: "
                f"make scale {next(iter(names), 'compute')}=1"
            )
        self._console.say(f"restarting {', '.join(chosen)}")
        for name in chosen:
            # Even if the new process dies at once, a restart that was asked for never ends the run.
            self._restarts[kind(name)].note_life(float("inf"))
            if name in self._waiting:
                self._waiting[name] = time.monotonic()
            elif name not in self._returning:
                self._returning.add(name)
                _stop(self._children[name])

    def ask_to_stop(self) -> None:
        """Make `tick` return False. A second call kills at once. Safe in a signal handler."""
        self._stop_requests += 1  # and nothing more: any lock may be held by this very thread

    def tick(self) -> bool:
        """Look after the processes once; False if all shall stop. Raises ProcessDiedError."""
        for child in list(self._children.values()):
            child.enforce()
            if child.exit_status is not None:
                self._remove(child)
            else:
                self._restarts[kind(child.name)].note_life(child.age)
        for name, due in list(self._waiting.items()):
            if time.monotonic() >= due:
                self._start_again(name)
        time.sleep(POLL_SECONDS)
        return not self._stop_requests

    def stop(self) -> None:
        """Stop every process, all at the same time, and wait for them."""
        self._waiting.clear()
        self._returning.clear()
        for child in self._children.values():
            _stop(child)
        while self._children:
            for child in list(self._children.values()):
                if self._stop_requests > 1:
                    child.stop(0)
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
            self._commands[kind(name)],
            self._environment,
            self._directory,
            self._console.write,
        )
        self._children[name] = child
        self._console.say(f"{name} started (process {child.pid})")
        self._write_state()

    def _start_again(self, name: str) -> None:
        try:
            self._start(name)
            del self._waiting[name]
        except OSError as error:  # no memory or no processes left, for one
            self._console.say(f"{name} could not be started: {error}")
            self._waiting[name] = time.monotonic() + FAILED_START_PAUSE

    def _dismiss(self, name: str) -> None:
        if name in self._returning:
            self._returning.remove(name)  # it has been told to stop
        elif name in self._children:
            _stop(self._children[name])
        self._waiting.pop(name, None)
        self._write_state()

    def _remove(self, child: Child) -> None:
        child.finish()
        del self._children[child.name]
        if child.name in self._returning:
            self._returning.remove(child.name)
            self._waiting[child.name] = time.monotonic()
        elif child.stopping:
            self._console.say(f"{child.name} stopped")
        else:
            self._plan_restart(child)
        self._write_state()

    def _plan_restart(self, child: Child) -> None:
        status = child.exit_status
        pause = self._restarts[kind(child.name)].note_death(child.age, status)
        lines = [f"  {line}" for line in self._console.last_lines(child.name)]
        death = f"{child.name} ended by itself with status {status}"
        if pause is None:
            raise ProcessDiedError("\n".join([f"{death}. Its last lines:", *lines]))
        self._waiting[child.name] = time.monotonic() + pause
        what = f"{death}, and is started again in {pause:.0f} s. Its last lines:"
        self._console.say("\n".join([what, *lines[-SHOWN_LINES:]]))

    def _numbers(self, name: str, *, stopping: bool = False) -> list[int]:
        """Return a kind's numbers, including processes that wait for their next start."""
        names = {*self._staying(), *(self._children if stopping else ())}
        return sorted(int(each.rpartition(".")[2]) for each in names if kind(each) == name)

    def _staying(self) -> dict[str, int | None]:
        """Return the pids by process; None for one that waits for its next start."""
        children = self._children.values()
        staying = {
            child.name: child.pid
            for child in children
            if not child.stopping or child.name in self._returning
        }
        return dict.fromkeys(self._waiting) | staying

    def _write_state(self) -> None:
        partial = self._state.with_suffix(".partial")
        partial.write_text(json.dumps(self._staying()))
        partial.rename(self._state)


def read_procfile(path: Path) -> dict[str, str]:
    """Return the command of each process, in the file's order."""
    return dict(parse_procfile(path.read_text()).processes)


def check_scale(counts: Mapping[str, int], commands: Mapping[str, str]) -> None:
    """Raise LocalError for an unknown process, or for several of one that can only run once."""
    for name, count in counts.items():
        require_known([name], (), commands)
        if name in SINGLE and count > 1:
            raise LocalError(f"{name} listens on a port, so only one can run.")


def _stop(child: Child) -> None:
    child.stop(SHORTER_STOP_SECONDS.get(kind(child.name), STOP_SECONDS))
