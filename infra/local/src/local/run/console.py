"""The processes' output: on the terminal with prefixes and colours, and in one file for each."""

import re
import sys
import threading
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import TextIO

from honcho.colour import get_colours  # type: ignore[import-untyped]
from honcho.printer import Message, Printer  # type: ignore[import-untyped]

OWN_NAME = "warren"
REMEMBERED_LINES = 20
OWN_TIME = re.compile(r"^\d\d:\d\d:\d\d ")  # of LOG_FORMAT=console; the terminal has its own


class Console:
    """Writes each process's lines to the terminal and to `<folder>/<process>.log`."""

    def __init__(self, folder: Path, terminal: TextIO | None = sys.stdout) -> None:
        """Remove logs of earlier runs. Without a `terminal` lines only go to the files."""
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.log"):
            old.unlink()
        self._folder = folder
        self._printer = Printer(terminal, width=len("reconciler.1")) if terminal else None
        self._colours = get_colours()
        self._colour_of: dict[str, str] = {}
        self._files: dict[str, TextIO] = {}
        self._last: dict[str, deque[str]] = {}
        self._lock = threading.RLock()  # each process's lines come from a thread of its own

    def write(self, process: str, line: str) -> None:
        with self._lock:
            if process not in self._files:
                self._files[process] = (self._folder / f"{process}.log").open("a", buffering=1)
                self._colour_of[process] = next(self._colours)
            self._files[process].write(f"{line}\n")
            self._last.setdefault(process, deque(maxlen=REMEMBERED_LINES)).append(line)
            self._print(process, OWN_TIME.sub("", line), self._colour_of[process])

    def say(self, text: str) -> None:
        """Print a line in the name of `make up` itself."""
        with self._lock:
            self._print(OWN_NAME, text, None)

    def last_lines(self, process: str) -> list[str]:
        return list(self._last.get(process, []))

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _print(self, name: str, line: str, colour: str | None) -> None:
        if self._printer:
            message = Message(type="line", data=line, time=datetime.now(), name=name, colour=colour)
            self._printer.write(message)
