import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.errors import LocalError
from local.run.run_lock import RunLock
from tests.support.program import Program

HOLD = """
import sys, time
from pathlib import Path
from local.run.run_lock import RunLock
with RunLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Program]:
    with Program([sys.executable, "-c", HOLD, str(tmp_path)], tmp_path / "log", {}) as process:
        process.await_log("held\n")
        yield process


def test_a_second_run_is_refused_with_the_first_ones_pid(tmp_path: Path, holder: Program) -> None:
    with pytest.raises(LocalError, match=f"process {holder.pid}"), RunLock(tmp_path).held():
        pass


def test_a_killed_run_leaves_no_lock(tmp_path: Path, holder: Program) -> None:
    holder.kill()
    assert RunLock(tmp_path).holder() is None
    with RunLock(tmp_path).held():
        assert RunLock(tmp_path).holder() == os.getpid()


def test_a_run_can_be_stopped_from_outside(tmp_path: Path, holder: Program) -> None:
    assert RunLock(tmp_path).stop_holder()
    assert holder.await_end() != 0
    assert not RunLock(tmp_path).stop_holder()
