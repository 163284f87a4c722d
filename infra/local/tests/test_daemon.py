import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.errors import LocalError
from local.servers.daemon import Daemon, Identity
from tests.support.polling import poll

PATIENT = ["sleep", "60"]
START = """
import os, sys, time
from pathlib import Path
from local.servers.daemon import Daemon
Daemon("patient", Path(sys.argv[1])).launch(["sleep", "60"], os.environ)
print("started", flush=True)
time.sleep(60)
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon("patient", tmp_path)


def test_a_daemon_that_another_instance_started_is_found_and_stopped(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.launch(PATIENT, os.environ)
    other = Daemon("patient", tmp_path)
    assert other.running
    other.stop(seconds=5)
    assert not daemon.running


def test_a_pid_that_now_belongs_to_another_program_is_left_alone(
    daemon: Daemon, tmp_path: Path
) -> None:
    (tmp_path / "patient.pid").write_text(json.dumps([os.getpid(), 1]))
    assert not daemon.running
    daemon.kill()  # would end this test


def test_no_zombie_stays_of_one_that_dies_while_it_is_looked_at(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(identity: Identity) -> bool:
        os.kill(identity.pid, signal.SIGKILL)
        _wait_until(lambda: Identity.of(identity.pid) is None)
        return False

    daemon.launch(PATIENT, os.environ)
    [pid] = daemon.pids
    monkeypatch.setattr(Identity, "alive", property(die))
    assert not daemon.running
    assert not Path(f"/proc/{pid}").exists()


def test_a_damaged_record_counts_as_none(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "patient.pid").write_text("")
    assert not daemon.running


def test_a_daemon_ends_with_the_program_that_started_it(daemon: Daemon, tmp_path: Path) -> None:
    command = [sys.executable, "-c", START, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == "started\n"
        [pid, _] = json.loads((tmp_path / "patient.pid").read_text())
        _wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        starter.kill()
    _wait_until(lambda: not daemon.running)


def test_one_that_does_not_stop_in_time_is_killed(daemon: Daemon) -> None:
    daemon.launch(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"], os.environ)
    _wait_until(lambda: daemon.log.read_text() == "deaf\n")
    daemon.stop(seconds=0.2)
    assert not daemon.running


def test_a_program_that_ends_at_once_is_shown_with_its_last_words(daemon: Daemon) -> None:
    daemon.launch(["sh", "-c", "echo no such luck"], os.environ)
    with pytest.raises(LocalError, match="ended while it started") as problem:
        daemon.wait_until(lambda: False, seconds=5)
    assert "no such luck" in str(problem.value)


def test_one_child_is_killed_and_the_others_live(family: Daemon) -> None:
    first, second = family.children
    assert family.children[first] == "sleep 60"
    family.kill_child(first)
    assert list(family.children) == [second]
    assert family.running


def test_a_stranger_is_not_killed_as_a_child(family: Daemon) -> None:
    with pytest.raises(LocalError, match="no such process"):
        family.kill_child(os.getpid())


@pytest.mark.parametrize("end", [Daemon.kill, lambda daemon: daemon.stop(seconds=5)])
def test_children_outlive_their_main_process_until_they_are_ended_too(
    family: Daemon, end: Callable[[Daemon], None]
) -> None:
    orphans = set(family.children)
    family.kill_main()
    assert not family.running
    assert set(family.children) == set(family.pids) == orphans
    end(family)
    assert not family.children
    assert not any(Path(f"/proc/{pid}/cwd").exists() for pid in orphans)


@pytest.fixture
def family(daemon: Daemon) -> Iterator[Daemon]:
    daemon.launch(["sh", "-c", "sleep 60 & sleep 60 & wait"], os.environ)
    _wait_until(lambda: list(daemon.children.values()) == ["sleep 60", "sleep 60"])
    yield daemon
    daemon.kill()


def _wait_until(reached: Callable[[], bool]) -> None:
    poll(reached, what="such state")
