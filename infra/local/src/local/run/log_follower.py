"""`make logs`: the output of a run's processes, each line with the process's name."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

POLL_SECONDS = 0.2
FIRST_LINES = 30  # of each process that is there at the first look


def follow(folder: Path, running: Callable[[], list[str] | None]) -> None:
    """Show the lines of the processes that `running` names, until it returns None.

    None means that the run has ended. Before a first process is named nothing is shown, because
    there may still be logs of an earlier run.
    """
    with closing(LogFollower(folder, _print)) as follower:
        started = False
        while (processes := running()) is not None:
            started = started or bool(processes)
            if started:
                follower.look(processes)
            time.sleep(POLL_SECONDS)


def show_last(folder: Path, processes: Iterable[str]) -> None:
    """Show the last lines of each process, and return."""
    with closing(LogFollower(folder, _print)) as follower:
        follower.look(processes)


class LogFollower:
    """Shows the lines that were added to the logs since the last look."""

    def __init__(self, folder: Path, show: Callable[[str, str], None]) -> None:
        """Prepare to call `show` with a process's name and a line of it."""
        self._folder = folder
        self._show = show
        self._files: dict[str, BinaryIO] = {}
        self._sizes: dict[str, int] | None = None  # before the first look

    def look(self, processes: Iterable[str]) -> None:
        """Show new lines of these processes and of those of earlier looks.

        A process of an earlier look may have ended, but its last lines are shown too.
        """
        sizes = {path.stem: path.stat().st_size for path in self._folder.glob("*.log")}
        for process in processes:
            if process not in self._files and process in sizes:
                self._files[process] = self._open(process)
        if self._sizes is None:
            self._sizes = sizes
        for process, file in self._files.items():
            for line in _whole_lines(file):
                self._show(process, line)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _open(self, process: str) -> BinaryIO:
        file = (self._folder / f"{process}.log").open("rb")
        if self._sizes is not None:  # a new process; an earlier one may have written to its file
            file.seek(self._sizes.get(process, 0))
            return file
        last = deque(file, maxlen=FIRST_LINES)
        file.seek(-sum(map(len, last)), 1)
        return file


def _whole_lines(file: BinaryIO) -> Iterator[str]:
    while (line := file.readline()).endswith(b"\n"):
        yield line.decode(errors="replace").rstrip("\n")
    file.seek(-len(line), 1)  # back to the start of a line that is not complete


def _print(process: str, line: str) -> None:
    print(f"{process:12} | {line}", flush=True)
