"""What `make` calls, in a checkout where nothing runs and where something does."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local import __main__, up
from local.console import Console
from local.environment import process_environment
from local.errors import LocalError
from local.ports import free_ports
from local.run_lock import RunLock
from local.settings import PORTS, Settings

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout for this test alone, for the commands too."""
    shutil.copy(CHECKOUT / ".env.example", tmp_path)
    shutil.copy(CHECKOUT / "Procfile", tmp_path)
    for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
        monkeypatch.setenv(name, str(port))
    monkeypatch.setattr(__main__, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def running(root: Path) -> Iterator[Settings]:
    """Something runs from this checkout, and has logs."""
    settings = Settings.load(root, os.environ)
    with RunLock(settings.local).held(), closing(Console(settings.logs, None)) as console:
        console.write("compute.1", "hello")
        yield settings


@pytest.mark.parametrize(
    "arguments",
    [
        ["scale", "compute=2"],
        ["run", "python", "services/web/manage.py", "createsuperuser"],
        ["run", "python", "services/web/manage.py", "dead_letters", "list"],
    ],
)
def test_what_needs_a_running_warren_says_so_in_a_line(
    root: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main(arguments) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.strip().count("\n") == 0
    assert "`make up` first" in said.err


def test_what_needs_none_can_be_run_all_the_same(root: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit(7)"]
    assert __main__.main(["run", "--alone", *command]) == 7


@pytest.mark.parametrize("command", ["status", "down"])
def test_asking_about_nothing_is_no_error(
    root: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main([command]) == 0
    assert "does not run from this checkout" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["up", "demo", "clean"])
def test_a_refused_command_leaves_what_runs_alone(
    running: Settings, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = running.logs / "compute.1.log"
    assert __main__.main([command]) == 1
    assert f"already runs from this checkout (process {os.getpid()})" in capsys.readouterr().err
    assert log.read_text() == "hello\n"


def test_logs_of_an_earlier_run_stay_if_a_port_is_taken(root: Path) -> None:
    settings = Settings.load(root, os.environ)
    with closing(Console(settings.logs, None)) as console:
        console.write("compute.1", "hello")
    same = {**os.environ, "WEB_PORT": os.environ["SMTP_PORT"]}
    (settings.local / "packages").symlink_to(CHECKOUT / ".local/packages")
    with (
        pytest.raises(LocalError, match="is also the port of"),
        up.running(Settings.load(root, same), print, None),
    ):
        pass
    assert (settings.logs / "compute.1.log").read_text() == "hello\n"


def test_commands_of_web_say_in_a_line_that_the_database_is_away(root: Path) -> None:
    settings = Settings.load(root, os.environ)
    environment = process_environment(settings, os.environ)
    command = [sys.executable, "services/web/manage.py", "dead_letters", "list"]
    ended = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == os.EX_TEMPFAIL
    assert "PostgreSQL cannot be reached: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_settings_file_stops_nobody_from_stopping(
    running: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (running.root / ".env").write_text("export WEB_PORT=8000\n")
    assert __main__.main(["scale", "compute=x"]) == 1
    assert "is not understood" in capsys.readouterr().err
    assert __main__.main(["up"]) == 1
    assert "line 1: without `export`" in capsys.readouterr().err


def test_down_and_clean_do_without_settings(root: Path) -> None:
    (root / ".env").write_text("export WEB_PORT=8000\n")
    assert [__main__.main([command]) for command in ("down", "status", "clean")] == [0, 0, 0]
    assert not (root / ".local").exists()


def test_the_settings_can_be_written_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["env"]) == 0
    assert str(root / ".env") in capsys.readouterr().out
    assert (root / ".env").exists()


def test_what_cannot_be_written_is_named_without_a_traceback(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / ".local").write_text("in the way")
    assert __main__.main(["status"]) == 1
    assert f"{root}/.local" in capsys.readouterr().err
