"""A private server program: it is started, found again, signalled and awaited by its pid."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from local.errors import LocalError

POLL_SECONDS = 0.05
KILL_SECONDS = 10.0


class Identity(NamedTuple):
    """A process by pid and start time. After a crash the pid alone may be another program's."""

    pid: int
    started: int  # clock ticks since boot

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Identify a live process; None if it is a zombie or gone."""
        fields = _stat(pid)
        return cls(pid, int(fields[19])) if fields and fields[0] != "Z" else None

    @property
    def alive(self) -> bool:
        return Identity.of(self.pid) == self


class Daemon:
    """One server program. A record file names its pid and start time while it runs."""

    def __init__(
        self, name: str, directory: Path, stop_signal: signal.Signals = signal.SIGTERM
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._record = directory / f"{name}.pid"
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None
        self._orphans: list[Identity] = []  # children that `kill_main` has left

    def launch(self, command: Sequence[str], environment: Mapping[str, str], *options: str) -> None:
        """Start the program without waiting for it; `options` go to setpriv.

        The kernel tells it to stop when the thread that called this ends, even by kill -9. So call
        this from the main thread: a private server never outlives its run.
        """
        self._record.parent.mkdir(parents=True, exist_ok=True)
        end_with_parent = ["setpriv", "--pdeathsig", self._stop_signal.name.removeprefix("SIG")]
        with self.log.open("wb") as output:
            self._child = subprocess.Popen(
                [*end_with_parent, *options, "--", *command],
                env=dict(environment),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for `up`, which stops its servers in order
            )
        identity = Identity.of(self._child.pid)
        if identity:
            self._record.write_text(json.dumps(identity))

    @property
    def running(self) -> bool:
        return self._identity() is not None

    @property
    def exit_status(self) -> int | None:
        """The exit status of the program that this object launched; negative for a signal."""
        return self._child.poll() if self._child else None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until the program is ready.

        Raises LocalError with the end of its log if it ends or the time is up.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise LocalError(f"{self.name} ended while it started.\n{self._last_lines()}")
            if time.monotonic() > deadline:
                raise LocalError(
                    f"{self.name} was not ready after {seconds:.0f} s.\n{self._last_lines()}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self, seconds: float, number: signal.Signals | None = None) -> None:
        """Stop the program cleanly by a signal; kill it if that takes longer than `seconds`.

        `number` is the signal, if not the usual one.
        """
        identity = self._identity()
        if identity is None:
            self.kill()  # children that its main process may have left
            return
        self.resume()  # a stopped program would not see the signal
        self._signal(identity, number or self._stop_signal)
        if not self._gone([identity], seconds):
            self.kill()
        self._record.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill the program and its children at once, as a power cut would. Raises LocalError."""
        tree = self._tree()
        for identity in tree:
            self._signal(identity, signal.SIGKILL)
        if not self._gone(tree, KILL_SECONDS):
            raise LocalError(f"{self.name} survived SIGKILL; see the processes {tree}.")
        self._record.unlink(missing_ok=True)

    def kill_main(self) -> None:
        """Kill the main process alone. Its children go on as orphans until `stop` or `kill`."""
        self._orphans = self._tree()[1:]
        self._kill_one(self._identity())

    def kill_child(self, pid: int) -> None:
        """Kill one of the `children`, and nothing else. Raises LocalError for any other pid."""
        self._kill_one(next((child for child in self._tree()[1:] if child.pid == pid), None))

    @property
    def pids(self) -> list[int]:
        """The pid of the program, then those of its children, of their children, and so on."""
        return [identity.pid for identity in self._tree()]

    @property
    def children(self) -> dict[int, str]:
        """The command lines of the children, of their children, and so on, by pid."""
        root = self._identity()
        return {pid: _command_line(pid) for pid in self.pids if root is None or pid != root.pid}

    def pause(self) -> None:
        """Freeze the program and its children: connections stay open, nothing answers."""
        for identity in self._tree():
            self._signal(identity, signal.SIGSTOP)

    def resume(self) -> None:
        for identity in self._tree():
            self._signal(identity, signal.SIGCONT)

    def _identity(self) -> Identity | None:
        try:
            identity = Identity(*json.loads(self._record.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            identity = None
        if identity and identity.alive:
            return identity
        if self._child:
            self._child.poll()  # collects a dead child, which is a zombie until then
        return None

    def _tree(self) -> list[Identity]:
        root = self._identity()
        orphans = (orphan for orphan in self._orphans if orphan.alive)
        return [root, *_descendants(root.pid)] if root else [*orphans]

    def _kill_one(self, identity: Identity | None) -> None:
        if identity is None:
            raise LocalError(f"{self.name} has no such process; it has {self.children}.")
        self._signal(identity, signal.SIGKILL)
        if not self._gone([identity], KILL_SECONDS):
            raise LocalError(f"{self.name}: process {identity.pid} survived SIGKILL.")

    def _gone(self, identities: Sequence[Identity], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while any(identity.alive for identity in identities):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        if self._child and self._child.pid in {identity.pid for identity in identities}:
            self._child.wait()
        return True

    @staticmethod
    def _signal(identity: Identity, number: signal.Signals) -> None:
        if identity.alive:
            os.kill(identity.pid, number)

    def _last_lines(self, count: int = 15) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"The end of {self.log}:", *(f"  {line}" for line in lines[-count:])])


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # ended meanwhile


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on (see proc(5)); empty if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _descendants(pid: int) -> Iterator[Identity]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    pending = children.get(pid, [])
    while pending:
        found = pending.pop()
        pending += children.get(found, [])
        identity = Identity.of(found)
        if identity:
            yield identity
