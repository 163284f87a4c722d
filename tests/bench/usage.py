"""What processes use: processor time, and memory."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")  # in a second
GONE = (FileNotFoundError, ProcessLookupError)
MEBIBYTE = 1024  # KiB

# Process ids by the name of their part of the system, as they are when it is called.
Parts = dict[str, Callable[[], list[int]]]


def processor_seconds(parts: Parts) -> dict[str, float]:
    """Seconds that each part has used so far, with those of children that have ended."""
    return {name: sum(map(_ticks, pids())) / TICKS for name, pids in parts.items()}


def memory(parts: Parts) -> dict[str, float]:
    """MiB of each part; what several processes share is divided between them (PSS)."""
    return {name: sum(map(_kibibytes, pids())) / MEBIBYTE for name, pids in parts.items()}


def _ticks(pid: int) -> int:
    with suppress(*GONE):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime; see proc(5)
    return 0


def _kibibytes(pid: int) -> int:
    with suppress(*GONE):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
