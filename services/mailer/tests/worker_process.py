"""The mailer as a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.measuring import coverage_settings

from .waiting import wait_for

COMMAND = (sys.executable, "-m", "mailer")


class WorkerProcess:
    """``python -m mailer`` with nothing but its own settings, and its log."""

    def __init__(
        self, log: Path, settings: dict[str, str], command: Sequence[str] = COMMAND
    ) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **coverage_settings(), **settings},
                cwd=log.parent,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        """All that it wrote."""
        return self._log.read_text(encoding="utf-8")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def await_log(self, text: str) -> None:
        """Wait until it has written a text."""
        wait_for(lambda: text in self.log or not self.alive, lambda: self.log)
        assert text in self.log

    def end(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def await_end(self) -> int:
        """Wait until it has ended; returns its exit code."""
        wait_for(lambda: not self.alive, lambda: self.log)
        return self.process.returncode

    def kill(self) -> None:
        """End it whatever it does."""
        self.process.kill()
        self.process.wait()
