"""Computations that only tests need; the worker loads them by COMPUTE_MODULES."""

import mmap
import os
import signal
import time
from pathlib import Path

import numpy as np
from billiard.exceptions import SoftTimeLimitExceeded

from compute.declaration import computation
from compute.progress import report_progress
from contracts.errors import TransientError

FOREVER = 3600.0


@computation
def sleep(seconds: float) -> float:
    """Sleep."""
    time.sleep(seconds)
    return seconds


@computation(time_limit=1)
def sleep_too_long() -> None:
    """Sleep beyond the limit."""
    time.sleep(FOREVER)


@computation(time_limit=1)
def ignore_the_limit() -> None:
    """Go on when told to stop."""
    while True:
        try:
            time.sleep(FOREVER)
        except SoftTimeLimitExceeded:
            continue


@computation(memory_limit=64)
def allocate(mebibytes: int) -> int:
    """Use memory in small objects."""
    return len([bytearray(2**10) for _ in range(mebibytes * 2**10)])


@computation(memory_limit=64)
def allocate_array(mebibytes: int) -> int:
    """Use memory in one array."""
    return np.ones(mebibytes * 2**20, dtype=np.uint8).size


@computation
def repeat(text: str, times: int) -> str:
    """Return a result of any size."""
    return text * times


@computation
def crash() -> None:
    """Kill the process that runs it."""
    os.kill(os.getpid(), signal.SIGKILL)


@computation
def sleep_at_first(marker: str) -> str:
    """Sleep for ever in the first run, which leaves a marker; return in the second."""
    if not Path(marker).exists():
        Path(marker).touch()
        time.sleep(FOREVER)
    return "done at last"


@computation
def fail(message: str) -> None:
    """Fail."""
    raise ValueError(message)


@computation
def be_busy() -> None:
    """Ask to be run later."""
    raise TransientError("the telescope is in use")


@computation
def advance(steps: int, seconds: float) -> int:
    """Report progress after each step of so many seconds."""
    for done in range(1, steps + 1):
        time.sleep(seconds)
        report_progress(done, steps)
    return steps


@computation
def process_id() -> int:
    """Tell which process ran it."""
    return os.getpid()


@computation
def allocate_shared(mebibytes: int) -> int:
    """Use memory that RLIMIT_DATA does not count."""
    with mmap.mmap(-1, mebibytes * 2**20) as shared:
        for _ in range(mebibytes):
            shared.write(bytes(2**20))
    return mebibytes


@computation
def leave_quietly() -> None:
    """End the process that runs it as if all were well."""
    os._exit(0)


@computation
def close_all_files() -> None:
    """Close what the process talks to its parent and to the broker by."""
    os.closerange(0, 4096)


@computation
def fork() -> int:
    """Come back twice."""
    return os.fork() * 0


@computation(time_limit=1)
def hear_no_signal() -> None:
    """Go on, whatever the process is told."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(FOREVER)


@computation
def print_a_lot() -> int:
    """Print 100 MiB."""
    for _ in range(100):
        print("x" * 2**20, flush=True)
    return 100


@computation(memory_limit=64)
def allocate_for_ever() -> None:
    """Take all the memory there is."""
    hoard = []
    while True:
        hoard.append(bytearray(2**20))
