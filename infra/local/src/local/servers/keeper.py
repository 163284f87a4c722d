"""Starts a private server again after it has died."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from local.restarts import Restarts

SHOWN_LINES = 5


class Server(Protocol):
    """A broker or a database."""

    @property
    def running(self) -> bool: ...

    @property
    def log(self) -> Path: ...

    def launch(self) -> None: ...


class Keeper:
    """Looks after one server that was started well."""

    def __init__(self, name: str, server: Server, say: Callable[[str], None]) -> None:
        self._name = name
        self._server = server
        self._say = say
        self._restarts = Restarts()
        self._restarts.note_life(float("inf"))
        self._since = time.monotonic()
        self._due: float | None = None

    def look(self) -> None:
        """Note a server's death, or start it after its pause. Call from the main thread."""
        if self._due is None:
            if not self._server.running:
                self._due = time.monotonic() + self._pause()
        elif time.monotonic() >= self._due:
            self._due = None
            self._since = time.monotonic()
            self._server.launch()
            self._say(f"{self._name} started")

    def _pause(self) -> float:
        pause = self._restarts.note_death(time.monotonic() - self._since) or 0.0
        lines = self._server.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
        what = f"{self._name} ended by itself, and is started again in {pause:.0f} s."
        self._say("\n".join([f"{what} Its last lines:", *(f"  {line}" for line in lines)]))
        return pause
