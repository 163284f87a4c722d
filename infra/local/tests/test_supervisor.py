import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from local import restarts
from local.errors import LocalError
from local.restarts import EX_CONFIG
from local.run.console import Console
from local.run.requests import Requests
from local.run.supervisor import ProcessDiedError, Supervisor, read_procfile
from tests.support.polling import poll
from tests.support.program import Program

PATIENT = "exec sleep 60"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
Make = Callable[[dict[str, str]], Supervisor]


@pytest.fixture
def terminal() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restart soon; nothing of what dies by itself here lives for long."""
    monkeypatch.setattr(restarts, "FIRST_PAUSE", 0.3)
    monkeypatch.setattr(restarts, "SETTLED_SECONDS", 2.0)


@pytest.fixture
def make(tmp_path: Path, terminal: io.StringIO) -> Iterator[Make]:
    supervisors: list[Supervisor] = []
    with closing(Console(tmp_path / "log", terminal)) as console:

        def build(commands: dict[str, str]) -> Supervisor:
            state = tmp_path / "processes.json"
            supervisors.append(Supervisor(commands, os.environ, tmp_path, console, state))
            return supervisors[-1]

        yield build
        for supervisor in supervisors:
            supervisor.stop()


def pids(folder: Path) -> dict[str, int]:
    """What `make status` reads."""
    found: dict[str, int] = json.loads((folder / "processes.json").read_text())
    return found


def tick_until(supervisor: Supervisor, reached: Callable[[], bool]) -> None:
    poll(reached, what="such state", meanwhile=supervisor.tick)


@pytest.mark.parametrize(("status", "starts"), [(3, 3), (EX_CONFIG, 1)])
def test_a_process_that_cannot_start_is_named_with_its_last_lines(
    make: Make, tmp_path: Path, status: int, starts: int
) -> None:
    command = f"echo farewell; echo x >> {tmp_path}/starts; exit {status}"
    supervisor = make({"patient": PATIENT, "mortal": command})
    supervisor.start()
    with pytest.raises(ProcessDiedError) as death:
        tick_until(supervisor, lambda: False)
    assert f"mortal.1 ended by itself with status {status}" in str(death.value)
    assert "farewell" in str(death.value)
    assert (tmp_path / "starts").read_text() == "x\n" * starts


def test_a_process_that_is_killed_is_started_again(
    make: Make, tmp_path: Path, terminal: io.StringIO
) -> None:
    supervisor = make({"worker": f"echo hello; {PATIENT}"})
    supervisor.start()
    log = tmp_path / "log/worker.1.log"
    tick_until(supervisor, log.exists)
    os.kill(pids(tmp_path)["worker.1"], signal.SIGKILL)
    tick_until(supervisor, lambda: pids(tmp_path)["worker.1"] is None)
    assert Requests(tmp_path).waiting() == {"worker": 1}
    tick_until(supervisor, lambda: log.read_text() == "hello\nhello\n")
    assert pids(tmp_path)["worker.1"]
    written = terminal.getvalue()
    assert "worker.1 ended by itself with status -9, and is started again" in written
    assert "  hello" in written


def test_one_that_waits_for_its_next_start_counts_when_scaled(make: Make, tmp_path: Path) -> None:
    running = Requests(tmp_path).running
    supervisor = make({"worker": PATIENT})
    supervisor.start()
    supervisor.scale({"worker": 2})
    os.kill(pids(tmp_path)["worker.1"], signal.SIGKILL)
    tick_until(supervisor, lambda: pids(tmp_path)["worker.1"] is None)
    supervisor.scale({"worker": 3})
    assert set(pids(tmp_path)) == {"worker.1", "worker.2", "worker.3"}
    supervisor.scale({"worker": 0})
    tick_until(supervisor, lambda: not running())
    supervisor.tick()
    assert not running()


@pytest.fixture
def restart(tmp_path: Path) -> Callable[..., list[str]]:
    """Ask for restarts, as `make restart` does, while `supervisor` goes on; what is said."""

    def ask(supervisor: Supervisor, *names: str) -> list[str]:
        said: list[str] = []
        requests = Requests(tmp_path)
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(requests.restart, names, said.append)
            while not asked.done():
                requests.serve(supervisor)
                supervisor.tick()
            asked.result()
        return said

    return ask


Restart = Callable[..., list[str]]
# Ends in order at SIGTERM alone, and leaves a word of that.
ORDERLY = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done"


def test_all_of_a_kind_are_restarted_when_they_have_ended_in_order(
    make: Make, restart: Restart, tmp_path: Path
) -> None:
    supervisor = make({"worker": ORDERLY, "other": PATIENT})
    supervisor.start()
    supervisor.scale({"worker": 2})
    before = pids(tmp_path)
    logs = [tmp_path / f"log/worker.{number}.log" for number in (1, 2)]
    tick_until(supervisor, lambda: all(log.exists() for log in logs))
    said = restart(supervisor, "worker")
    after = pids(tmp_path)
    assert set(after) == set(before)
    assert {name for name in after if after[name] != before[name]} == {"worker.1", "worker.2"}
    assert said[0].startswith("restarting worker.1, worker.2")
    assert set(said[1:]) == {
        f"{name} started again (process {after[name]})" for name in ("worker.1", "worker.2")
    }
    whole = "hello\nbye\nhello\n"
    tick_until(supervisor, lambda: all(log.read_text() == whole for log in logs))


def test_one_process_is_restarted_alone(make: Make, restart: Restart, tmp_path: Path) -> None:
    supervisor = make({"worker": PATIENT})
    supervisor.start()
    supervisor.scale({"worker": 2})
    before = pids(tmp_path)
    restart(supervisor, "worker.2")
    assert pids(tmp_path)["worker.1"] == before["worker.1"]
    assert pids(tmp_path)["worker.2"] != before["worker.2"]


def test_a_restart_that_cannot_be_says_why(make: Make, restart: Restart, tmp_path: Path) -> None:
    supervisor = make({"worker": PATIENT, "other": PATIENT})
    supervisor.start()
    supervisor.scale({"other": 0})
    before = pids(tmp_path)["worker.1"]
    with pytest.raises(LocalError, match="no process 'printer'; there are worker, other"):
        restart(supervisor, "worker", "printer")
    with pytest.raises(LocalError, match=r"no process 'worker\.2'; there are worker\.1"):
        restart(supervisor, "worker.2")
    with pytest.raises(LocalError, match=r"No process of other runs.*make scale other=1"):
        restart(supervisor, "other")
    assert pids(tmp_path)["worker.1"] == before


def test_new_code_that_does_not_start_does_not_end_the_run(
    make: Make, restart: Restart, tmp_path: Path
) -> None:
    broken, starts = tmp_path / "broken", tmp_path / "starts"
    supervisor = make({"worker": f"echo x >> {starts}; test -e {broken} && exit 78; {PATIENT}"})
    supervisor.start()
    tick_until(supervisor, starts.exists)
    broken.touch()
    restart(supervisor, "worker")
    tick_until(supervisor, lambda: starts.read_text().count("x") >= 3)
    broken.unlink()
    restart(supervisor, "worker")
    tick_until(supervisor, lambda: pids(tmp_path)["worker.1"] is not None)


def test_a_process_can_be_scaled_away_while_it_is_restarted(
    make: Make, restart: Restart, tmp_path: Path
) -> None:
    supervisor = make({"stubborn": STUBBORN})
    supervisor.start()
    tick_until(supervisor, (tmp_path / "log/stubborn.1.log").exists)
    supervisor.restart(["stubborn"])
    supervisor.scale({"stubborn": 0})
    assert pids(tmp_path) == {}
    supervisor.ask_to_stop()
    supervisor.ask_to_stop()
    supervisor.stop()
    assert pids(tmp_path) == {}


def test_the_terminal_has_one_time_on_a_line_and_the_file_that_of_the_process(
    make: Make, tmp_path: Path, terminal: io.StringIO
) -> None:
    supervisor = make({"talker": f"echo '12:34:56 [info] hello'; {PATIENT}"})
    supervisor.start()
    tick_until(supervisor, lambda: "hello" in terminal.getvalue())
    line = next(line for line in terminal.getvalue().splitlines() if "hello" in line)
    assert re.fullmatch(r"\d\d:\d\d:\d\d talker.1 +\| \[info\] hello", line)
    assert (tmp_path / "log/talker.1.log").read_text() == "12:34:56 [info] hello\n"


def test_processes_are_added_and_removed(make: Make, tmp_path: Path) -> None:
    running = Requests(tmp_path).running
    supervisor = make({"worker": PATIENT})
    supervisor.start()
    supervisor.scale({"worker": 3})
    assert running() == {"worker": 3}
    supervisor.scale({"worker": 1})
    tick_until(supervisor, lambda: running() == {"worker": 1})
    supervisor.tick()


def test_what_processes_print_is_kept_in_a_file_for_each(make: Make, tmp_path: Path) -> None:
    supervisor = make({"talker": f"echo hello; {PATIENT}"})
    supervisor.start()
    log = tmp_path / "log/talker.1.log"
    tick_until(supervisor, lambda: log.exists() and log.read_text() == "hello\n")


def test_a_second_request_to_stop_does_not_wait(make: Make, tmp_path: Path) -> None:
    supervisor = make({"stubborn": STUBBORN})
    supervisor.start()
    tick_until(supervisor, (tmp_path / "log/stubborn.1.log").exists)
    start = time.monotonic()
    supervisor.ask_to_stop()
    supervisor.ask_to_stop()
    supervisor.stop()
    assert time.monotonic() - start < 5


HAMMER = """
import io, os, signal, sys
from pathlib import Path
from local.run.console import Console
from local.run.supervisor import Supervisor

folder = Path(sys.argv[1])
supervisor = Supervisor({}, {}, folder, Console(folder, io.StringIO()), folder / "state")
signal.signal(signal.SIGTERM, lambda *_: supervisor.ask_to_stop())

pid = os.getpid()
if os.fork() == 0:  # a thread would need the interpreter's lock
    while os.getppid() == pid:
        os.kill(pid, signal.SIGTERM)
    os._exit(0)
for _ in range(20):
    supervisor.tick()
supervisor.stop()
print("stopped", flush=True)
os._exit(0)
"""


def test_signals_in_quick_succession_hang_nothing(tmp_path: Path) -> None:
    with Program([sys.executable, "-c", HAMMER, str(tmp_path)], tmp_path / "log", {}) as program:
        assert program.await_end() == 0, program.log
        assert program.log.endswith("stopped\n")


def test_the_procfile_names_the_processes_of_the_design() -> None:
    commands = read_procfile(Path(__file__).parents[3] / "Procfile")
    assert {"web", "relay", "collector", "reconciler", "mailer", "compute", "flower"} <= set(
        commands
    )
    assert all("exec " in command for command in commands.values())
