"""A process whose clock is wrong."""

from collections.abc import Mapping
from pathlib import Path

from local.servers import packages

FOLDER = Path(__file__).parents[2] / ".local/packages/faketime"
PYTHON_WITH_FAKETIME = Path(__file__).parent / "faketime"


def wrong_clock(seconds: int, environment: Mapping[str, str]) -> dict[str, str]:
    """What to change in `environment` so that a process's clock is `seconds` fast, or slow.

    Only its time of day is wrong, and that of the files that it touches; timeouts and pauses, which
    follow the monotonic clock, are not. The process has to be a program of Python's.
    """
    modules = [str(PYTHON_WITH_FAKETIME), environment.get("PYTHONPATH", "")]
    return {
        "LD_PRELOAD": str(packages.obtain("libfaketime", FOLDER, _find, print)),
        "FAKETIME": f"{seconds:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "FAKE_UTIME": "0",  # gunicorn's workers show life by times of their own
        "PYTHONPATH": ":".join(filter(None, modules)),
    }


def _find(root: Path) -> Path | None:
    """Look for libfaketime, in its form for programs with threads, below `root`."""
    return next((root / "usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
