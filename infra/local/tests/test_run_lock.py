import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.errors import LocalError
from local.run_lock import RunLock

HOLD = """
import sys, time
from pathlib import Path
from local.run_lock import RunLock
with RunLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_with_the_first_ones_pid(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(LocalError, match=f"process {holder.pid}"), RunLock(tmp_path).held():
        pass


def test_a_killed_run_leaves_no_lock(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.wait()
    assert RunLock(tmp_path).holder() is None
    with RunLock(tmp_path).held():
        assert RunLock(tmp_path).holder() == os.getpid()


def test_a_run_can_be_stopped_from_outside(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    assert RunLock(tmp_path).stop_holder()
    assert holder.wait(timeout=5) is not None
    assert not RunLock(tmp_path).stop_holder()
