"""A program that a test starts, watches by its log, and ends."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from .measuring import coverage_settings
from .polling import DEADLINE, poll

T = TypeVar("T")


class Program:
    """One run of a program, which ends with the ``with`` block at the latest."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        *,
        directory: Path | None = None,
    ) -> None:
        """Start it without waiting, in a session of its own.

        Args:
            command: the program and its arguments.
            log: the file to which both of its outputs go.
            environment: all of it, but for PATH and what coverage needs.
            directory: where it runs; that of the log, if there is none.
        """
        self.log_file = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **coverage_settings(), **environment},
                cwd=directory or log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.exit_status is None

    @property
    def exit_status(self) -> int | None:
        """How it has ended, negative for a signal; None as long as it runs."""
        return self._process.poll()

    @property
    def children(self) -> list[int]:
        """Process ids of its children."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text(encoding="ascii").split()]

    @property
    def log(self) -> str:
        """All that it has written."""
        return self.log_file.read_text(encoding="utf-8")

    def records(self, **fields: object) -> list[dict[str, Any]]:
        """Lines of the log that are JSON and have these fields."""
        return records(self.log.splitlines(), **fields)

    def await_log(self, text: str) -> None:
        """Wait until it has written a text."""
        self.poll(lambda: text in self.log or not self.alive, what=f"{text!r} in the log")
        assert text in self.log, f"it has ended:\n{self.log}"

    def await_record(self, **fields: object) -> dict[str, Any]:
        """Wait for a line of the log with these fields, and return it."""
        return self.poll(lambda: self.records(**fields), what=f"{fields} in the log")[0]

    def poll(self, look: Callable[[], T], **options: Any) -> T:
        """Wait, and show the log when it was in vain."""
        found: T = poll(look, explain=lambda: self.log, **options)
        return found

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def send_to_all(self, number: signal.Signals) -> None:
        """Send a signal to it and all of its children, as some supervisors do."""
        os.killpg(self.pid, number)

    def await_end(self, **options: Any) -> int:
        """Wait until it has ended; how it has."""
        self.poll(lambda: not self.alive, what="end", **options)
        return self._process.returncode

    def stop(self) -> int:
        """Ask it to end (SIGTERM), and wait; how it has."""
        self._process.terminate()
        return self.await_end()

    def kill(self) -> int:
        """End it at once, whatever it does; its children end with it."""
        self._process.kill()
        return self._process.wait(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Interpreter:
    """A program that answers each line of JSON with another."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path
    ) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: object) -> Any:
        """Write a line, and read the answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps(question)}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=DEADLINE)  # it ends when nothing more comes


def records(lines: Iterable[str], **fields: object) -> list[dict[str, Any]]:
    """Lines that are JSON and have these fields; one that is being written is none yet."""
    found = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("}"))
    return [record for record in found if fields.items() <= record.items()]
