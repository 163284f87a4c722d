"""What `make` calls, in a checkout where nothing runs and where something does."""

import json
import mailbox
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from local import __main__
from local.environment import process_environment
from local.errors import LocalError
from local.ports import free_ports
from local.run import up
from local.run.console import Console
from local.run.run_lock import RunLock
from local.settings import PORTS, Settings
from tests.support.program import Program

CHECKOUT = Path(__file__).parents[3]
# For a command in a process of its own: the checkout, then its words.
RUN = """
import sys; from pathlib import Path; from local import __main__
__main__.ROOT = Path(sys.argv[1])
sys.exit(__main__.main(sys.argv[2:]))
"""


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
        ["restart", "compute"],
        ["mail"],
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


def test_a_disk_without_room_is_named_without_a_traceback(root: Path) -> None:
    command = ["prlimit", "--fsize=100", sys.executable, "-c", RUN, str(root), "env"]
    # Without the counting of lines, which would want to write, too.
    environment = {name: os.environ[name] for name in os.environ if name[:9] != "COVERAGE_"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"File too large: a file below {root} (" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (root / ".env").exists()


def test_mails_that_cannot_be_kept_end_the_mail_catcher(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "mails").write_text("in the way")
    assert __main__.main(["smtp", "--mails", str(root / "mails")]) == 1
    assert f"{root}/mails/tmp (the checkout has to be yours" in capsys.readouterr().err


def test_secrets_that_cannot_be_written_are_named_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("in the way")
    command = [sys.executable, "infra/secrets/create_secrets.py", str(tmp_path / "secrets")]
    ended = subprocess.run(
        [*command, "infra/rabbitmq/definitions.json"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    said = f"File exists: {tmp_path}/secrets (the checkout has to be yours)\n"
    assert ended.stderr == said


@pytest.fixture
def scaled(running: Settings) -> Settings:
    """Of three workers that there were in this run, one has stayed."""
    (running.local / "processes.json").write_text('{"compute.1": 1, "mailer.1": 2, "compute.3": 3}')
    for process in ("compute.2", "compute.3", "mailer.1"):
        (running.logs / f"{process}.log").write_text(f"{process} says hello\n")
    return running


@contextmanager
def logs(root: Path, *names: str) -> Iterator[Program]:
    """What `make logs` prints, until Ctrl-C ends it."""
    command = [sys.executable, "-c", RUN, str(root), "logs", *names]
    with Program(command, root / "followed", {}) as following:
        yield following
        following.send(signal.SIGINT)
        assert following.await_end() == 0


def await_lines(following: Program, count: int) -> list[str]:
    """Wait for so many lines."""
    return following.poll(
        lambda: following.log.splitlines(),
        wanted=lambda lines: len(lines) >= count,
        what=f"{count} lines",
    )


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([], {"compute.1", "compute.3", "mailer.1"}),
        (["compute"], {"compute.1", "compute.3"}),
        (["compute.3", "mailer"], {"compute.3", "mailer.1"}),
    ],
)
def test_logs_are_those_of_the_processes_that_run(
    scaled: Settings, names: list[str], shown: set[str]
) -> None:
    with logs(scaled.root, *names) as following:
        lines = await_lines(following, len(shown))
        assert {line.partition(" ")[0] for line in lines} == shown


def test_logs_go_on_with_the_processes_that_scaling_adds(scaled: Settings) -> None:
    with logs(scaled.root, "compute") as following:
        assert [line[:9] for line in await_lines(following, 2)] == ["compute.1", "compute.3"]
        (scaled.logs / "compute.4.log").write_text("hello\n")
        with (scaled.logs / "compute.2.log").open("a") as log:
            log.write("again\n")
        pids = {"compute.1": 1, "mailer.1": 2, "compute.4": 4, "compute.2": 5}
        (scaled.local / "processes.json").write_text(json.dumps(pids))
        added = await_lines(following, 4)[2:]
        assert added == ["compute.4    | hello", "compute.2    | again"]


@pytest.mark.parametrize(
    ("name", "there"), [("printer", "web, relay, "), ("compute.2", "compute.1, compute.3.")]
)
def test_logs_of_what_does_not_run_are_refused_with_what_does(
    scaled: Settings, name: str, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main(["logs", "compute", name]) == 1
    said = capsys.readouterr()
    assert f"There is no process {name!r}; there are {there}" in said.err
    assert not said.out


def test_logs_of_the_last_run_are_shown_when_nothing_runs(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Console(Settings.load(root, os.environ).logs, None)) as console:
        console.write("compute.1", "farewell")
        console.write("mailer.1", "farewell")
    assert __main__.main(["logs", "compute"]) == 0
    said = capsys.readouterr()
    assert said.out == "compute.1    | farewell\n"
    assert "does not run from this checkout. This is the end of the last run" in said.err


def test_the_newest_mail_is_shown_when_it_has_come(
    running: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    maildir = mailbox.Maildir(running.mails)
    maildir.add(mail("ada@example.org", "first"))
    maildir.add(mail("granada@example.org", "of another"))
    assert __main__.main(["mail", "ada@example.org"]) == 0
    assert "Subject: first\n\nfirst\n" in capsys.readouterr().out
    threading.Timer(0.3, lambda: maildir.add(mail("grace@example.org", "later"))).start()
    assert __main__.main(["mail", "grace@example.org"]) == 0
    assert "Subject: later" in capsys.readouterr().out
    assert __main__.main(["mail"]) == 0
    assert "Subject: later" in capsys.readouterr().out


def test_nobody_waits_for_ever_for_a_mail(
    running: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(__main__, "MAIL_SECONDS", 0.2)
    assert __main__.main(["mail", "ada@example.org"]) == 1
    assert "No mail to ada@example.org has come" in capsys.readouterr().err


def mail(recipient: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "warren@example.org", recipient, text
    message.set_content(text)
    return message
