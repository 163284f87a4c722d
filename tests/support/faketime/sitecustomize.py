"""Loaded by Python at the start of a process whose clock `tests.support.wrong_clock` sets wrong.

Python 3.11 and later sleep until a moment of the monotonic clock. libfaketime 0.9.10 takes that for
one of the wrong clock, even if it is told to leave the monotonic clock alone, and the sleep fails
or never ends. A pause of `select` is counted from now on, so it is not touched.

It also shares memory between processes, which it leaves behind in /dev/shm when they end. Nobody
needs the names any more once a process has begun.
"""

import os
import select
import time
from pathlib import Path
from typing import SupportsIndex


def sleep(seconds: float | SupportsIndex, /) -> None:
    select.select((), (), (), float(seconds))


time.sleep = sleep

for name in os.environ.get("FAKETIME_SHARED", "").replace("/", "").split():
    for file in (name, f"sem.{name}"):
        Path("/dev/shm", file).unlink(missing_ok=True)  # noqa: S108 -- its own file
