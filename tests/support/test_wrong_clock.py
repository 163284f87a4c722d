import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .wrong_clock import wrong_clock

LOOK = """
import datetime, json, os, signal, sys, threading, time

def lasted(pause):
    start = time.monotonic()
    pause()
    return time.monotonic() - start

file = sys.argv[1]
with open(file, "w"):
    pass
os.utime(file, (1000, 1000))
print(json.dumps({
    "time": time.time(),
    "datetime": datetime.datetime.now().timestamp(),
    "monotonic": time.monotonic(),
    "file": os.stat(file).st_mtime,
    "sleep": lasted(lambda: time.sleep(0.2)),
    "wait": lasted(lambda: threading.Event().wait(0.2)),
    "paths": sys.path,
    "pid": os.getpid(),
}), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_only_the_time_of_day_is_wrong(tmp_path: Path, seconds: int) -> None:
    environment = {**os.environ, "PYTHONPATH": "/some/modules"}
    clock = wrong_clock(seconds, environment)
    result = subprocess.run(
        [sys.executable, "-c", LOOK, tmp_path / "file"],
        env=environment | clock,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    seen, now = json.loads(result.stdout), time.time()
    assert seen["time"] - now == pytest.approx(seconds, abs=30)
    assert seen["datetime"] - now == pytest.approx(seconds, abs=30)
    assert seen["file"] == 1000
    assert seen["monotonic"] - time.monotonic() == pytest.approx(0, abs=30)
    assert 0.19 < seen["sleep"] < 20
    assert 0.19 < seen["wait"] < 20
    assert "/some/modules" in seen["paths"]
    leftovers = f"*faketime_*_{seen['pid']}"
    assert not list(Path("/dev/shm").glob(leftovers))  # noqa: S108 -- only looked at
