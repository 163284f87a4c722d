import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local.console import Console
from local.scaling import ScaleRequests
from local.supervisor import ProcessDiedError, Supervisor, read_procfile

PATIENT = "exec sleep 60"
Make = Callable[[dict[str, str]], Supervisor]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    supervisors: list[Supervisor] = []
    with closing(Console(tmp_path / "log", io.StringIO())) as console:

        def build(commands: dict[str, str]) -> Supervisor:
            state = tmp_path / "processes.json"
            supervisors.append(Supervisor(commands, os.environ, tmp_path, console, state))
            return supervisors[-1]

        yield build
        for supervisor in supervisors:
            supervisor.stop()


def tick_until(supervisor: Supervisor, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        supervisor.tick()


def test_a_process_that_dies_is_named_with_its_last_lines(make: Make) -> None:
    supervisor = make({"patient": PATIENT, "mortal": "echo farewell; exit 3"})
    supervisor.start()
    with pytest.raises(ProcessDiedError) as death:
        tick_until(supervisor, lambda: False)
    assert "mortal.1 ended by itself with status 3" in str(death.value)
    assert "farewell" in str(death.value)


def test_processes_are_added_and_removed(make: Make, tmp_path: Path) -> None:
    running = ScaleRequests(tmp_path).running
    supervisor = make({"worker": PATIENT})
    supervisor.start()
    supervisor.scale({"worker": 3})
    assert running() == {"worker": 3}
    supervisor.scale({"worker": 1})
    tick_until(supervisor, lambda: running() == {"worker": 1})
    supervisor.tick()


def test_what_processes_print_is_kept_in_a_file_for_each(make: Make, tmp_path: Path) -> None:
    supervisor = make({"talker": "echo hello; exec sleep 60"})
    supervisor.start()
    log = tmp_path / "log/talker.1.log"
    tick_until(supervisor, lambda: log.exists() and log.read_text() == "hello\n")


def test_a_second_request_to_stop_does_not_wait(make: Make) -> None:
    supervisor = make({"stubborn": "trap '' TERM; echo ready; while :; do sleep 0.1; done"})
    supervisor.start()
    start = time.monotonic()
    supervisor.ask_to_stop()
    supervisor.ask_to_stop()
    supervisor.stop()
    assert time.monotonic() - start < 5


def test_the_procfile_names_the_processes_of_the_design() -> None:
    commands = read_procfile(Path(__file__).parents[3] / "Procfile")
    assert {"web", "relay", "collector", "reconciler", "mailer", "compute", "flower"} <= set(
        commands
    )
    assert all("exec " in command for command in commands.values())
