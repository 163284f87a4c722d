"""Computations whose course a test decides; the compute worker imports them by COMPUTE_MODULES."""

import os
import signal
import time
from pathlib import Path

from compute.declaration import computation
from compute.progress import report_progress
from contracts.errors import TransientError


@computation
def hold(gate: str) -> str:
    """Run from the moment that a file ``started`` appears in a folder until ``release`` does.

    Each run appends a line to ``started``.
    """
    _note(Path(gate, "started"))
    while not Path(gate, "release").exists():
        time.sleep(0.02)
    return "released"


@computation
def crash(gate: str) -> None:
    """Kill the process that runs it, unless a file ``mended`` is in the folder."""
    _note(Path(gate, "started"))
    if not Path(gate, "mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)


@computation
def stumble(gate: str, times: int) -> str:
    """Fail in a way that passes, so many times."""
    _note(Path(gate, "started"))
    if len(Path(gate, "started").read_text().splitlines()) <= times:
        raise TransientError("the disk is full at the moment")
    return "done"


@computation
def nap(seconds: float) -> float:
    """Sleep in small steps, telling how far it has come."""
    steps = max(1, round(seconds * 10))
    for step in range(steps):
        report_progress(step, steps)
        time.sleep(seconds / steps)
    return seconds


@computation
def devour() -> int:
    """Take memory without end."""
    eaten = []
    while True:
        eaten.append(bytearray(16_000_000))


@computation
def refuse(reason: str) -> None:
    """Fail for good."""
    raise ValueError(reason)


def _note(file: Path) -> None:
    with file.open("a") as runs:
        runs.write(f"{os.getpid()}\n")
