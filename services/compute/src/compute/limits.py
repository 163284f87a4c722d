"""Limits of a run's time and memory, and what happens beyond them.

Celery sends the pool's process SIGUSR1 at the soft time limit and kills it at the hard one. The
memory limit is RLIMIT_DATA, which since Linux 4.7 counts private writable mappings too, and so
numpy's arrays (getrlimit(2)). RLIMIT_AS would count shared libraries and mapped files as well.
Both limits need a process for each run at a time: the prefork pool.
"""

import ctypes
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from billiard.pool import SIG_SOFT_TIMEOUT, soft_timeout_sighandler

from contracts.errors import PermanentError

MIB = 2**20
# Seconds. RabbitMQ takes a message away from a worker after consumer_timeout, two hours in
# infra/rabbitmq/rabbitmq.conf. The longest run ends ten minutes earlier, to publish its result.
CONSUMER_TIMEOUT = 7200
LONGEST_GRACE = 600
LONGEST_TIME_LIMIT = CONSUMER_TIMEOUT - LONGEST_GRACE - 600
STATUS = Path("/proc/self/status")

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc, not of musl


@dataclass(frozen=True)
class Limits:
    """Limits of one run: seconds until it is told to stop, seconds until it is killed, MiB."""

    soft_time_limit: int
    time_limit: int
    memory_limit: int

    def changed(self, time_limit: int | None, memory_limit: int | None) -> "Limits":
        """Return these limits with the given ones; the time from soft to hard limit stays."""
        soft = time_limit or self.soft_time_limit
        hard = soft + self.time_limit - self.soft_time_limit
        return Limits(soft, hard, memory_limit or self.memory_limit)


@contextmanager
def enforced(time_limits: Any, mebibytes: int) -> Iterator[None]:
    """Run the block within limits.

    Args:
        time_limits: the hard and the soft one in seconds, as Celery's request has them; Celery
            watches the clock.
        mebibytes: memory on top of what the process has at the start.

    Raises PermanentError of kind TimeLimitExceeded or MemoryLimitExceeded.
    """
    try:
        with _memory_limit(mebibytes), _soft_time_limit():
            yield
    except SoftTimeLimitExceeded:
        message = f"ran longer than its limit of {time_limits[1]:g} s"
        raise PermanentError(message, "TimeLimitExceeded") from None
    except MemoryError:
        # A MemoryError that escapes from the task ends the whole worker (celery/worker/request.py).
        message = f"needed more than its limit of {mebibytes} MiB of memory"
        raise PermanentError(message, "MemoryLimitExceeded") from None


@contextmanager
def _soft_time_limit() -> Iterator[None]:
    # Outside of the block the signal is ignored. Coming late, it would interrupt the code that
    # sends the result, or the next run.
    signal.signal(SIG_SOFT_TIMEOUT, soft_timeout_sighandler)
    try:
        yield
    finally:
        signal.signal(SIG_SOFT_TIMEOUT, signal.SIG_IGN)


@contextmanager
def _memory_limit(mebibytes: int) -> Iterator[None]:
    before, maximum = resource.getrlimit(resource.RLIMIT_DATA)
    _give_back_freed_memory()
    limits = (before, maximum, _data_size() + mebibytes * MIB)
    lowest = min(limit for limit in limits if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_DATA, (lowest, maximum))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, maximum))


def _data_size() -> int:
    """Return the bytes that count against RLIMIT_DATA now: VmData of proc(5)."""
    size = re.search(rb"VmData:\s*([0-9]+) kB", STATUS.read_bytes())
    if size is None:
        raise RuntimeError("/proc/self/status has no VmData")
    return int(size[1]) * 1024


def _give_back_freed_memory() -> None:
    """Make malloc return memory that earlier runs have freed.

    Otherwise the next run could use it on top of its own limit. malloc keeps up to 64 MiB at its
    heap's top (mallopt(3), M_TRIM_THRESHOLD) until malloc_trim(3) is called. Freed memory below an
    object that is in use may stay.
    """
    if _trim is not None:
        _trim(0)
