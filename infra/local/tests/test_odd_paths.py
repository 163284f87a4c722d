"""Every target of the Makefile in a checkout whose path no shell would take unquoted."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .checkouts import CHECKOUT, PATIENCE, Checkout

pytestmark = pytest.mark.checkout
# Before the space stands the name of a folder beside it, which must outlive everything.
ODD = 'Documents of "Zoë\'s" $HOME: a; rm -rf * & `id` \\ #'
# To ruff and coverage, a backslash in a path is not one.
NOT_FOR_SUCH_PATHS = {"lint", "coverage"}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh checkout, whose downloads are those of this one."""
    copy = odd_checkout(tmp_path)
    copy.link_downloads()
    return copy


def odd_checkout(folder: Path) -> Checkout:
    (folder / "Documents").mkdir()
    (folder / "Documents/kept").write_text("precious")
    return Checkout(folder / ODD / "warren")


@pytest.mark.timeout(900)  # starts everything twice, on a machine that may be busy
def test_every_target_works_whatever_the_path_is(checkout: Checkout, tmp_path: Path) -> None:
    words = checkout.make("env").stderr
    assert len(words.splitlines()) < 40
    assert " + django==" in (checkout.root / ".local/install.log").read_text()
    assert_targets_work(checkout)
    assert_everything_runs(checkout, tmp_path / "up.log")
    assert_all_is_removed(checkout)


def assert_targets_work(installed: Checkout) -> None:
    """A status of make's, and what is said; `make` ends with 2 if a command did not end with 0."""
    root = installed.root
    few = "ARGS=-p no:randomly -n 0 -q infra/local/tests/test_restarts.py"
    (root / ".env").write_text("COMPOSE_PROFILES=dev")  # without an end of its line
    expected: dict[tuple[str, ...], tuple[int, str]] = {
        ("help",): (0, "make up  "),
        ("secrets",): (0, ""),
        ("secrets", "ROTATE=flower_password"): (0, ""),
        ("env",): (0, f"settings are in {re.escape(str(root))}"),
        ("status",): (0, "does not run"),
        ("down",): (0, "does not run"),
        ("logs",): (2, "no logs yet"),
        ("logs", "printer"): (2, "no logs yet"),
        ("scale", "compute=2"): (2, "`make up` first"),
        ("restart",): (2, "Example: make restart compute"),
        ("restart", "compute"): (2, "`make up` first"),
        ("restart", "clean"): (2, "`make up` first"),
        ("mail", "ada@example.org"): (2, "`make up` first"),
        ("admin",): (2, "`make up` first"),
        ("doctor",): (2, "`make up` first"),
        ("service", "NAME=te xts"): (2, "small letters"),
        ("run", "ARGS=--alone python services/web/manage.py check"): (0, "no issues"),
        ("format",): (0, ""),
        ("bench", "ARGS=--help"): (0, "in two minutes"),
        ("lock", "UV_OFFLINE=1", "UV_CACHE_DIR=.local/none"): (2, "network was disabled"),
        ("demo",): (0, "everything is stopped"),
        ("test", few): (0, "passed"),
        ("test-checkout", "ARGS=--collect-only -q"): (0, "test_odd_paths"),
        ("test-compose", "ARGS=--collect-only -q"): (0, "tests/compose"),
        ("faults", "ARGS=--list"): (0, "RabbitMQ"),
        ("soak", "ARGS=--help"): (0, "--minutes"),
    }
    for words, (status, said) in expected.items():
        ended = installed.make(*words)
        assert ended.returncode == status, f"{words}: {ended.stdout}{ended.stderr}"
        assert re.search(said, ended.stdout + ended.stderr), f"{words}: {ended.stdout}"
        assert "Traceback" not in ended.stderr
    targets = set(re.findall(r"^([a-z-]+):.*## ", (root / "Makefile").read_text(), re.MULTILINE))
    assert targets == {words[0] for words in expected} | NOT_FOR_SUCH_PATHS | {"up", "clean"}
    names = [line.partition("=")[0] for line in (root / ".env").read_text().splitlines()]
    assert [names.count(name) for name in ("COMPOSE_PROFILES", "WARREN_ENVIRONMENT")] == [1, 1]


def test_what_cannot_be_installed_is_said_with_the_place_of_the_rest(
    checkout: Checkout, tmp_path: Path
) -> None:
    away = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    log, complete = checkout.root / ".local/install.log", checkout.root / ".venv/.complete"
    ended = checkout.make("env", **away)
    assert ended.returncode == 2
    assert "1 to 3 minutes" in ended.stderr
    assert "The whole of what uv said is in .local/install.log" in ended.stderr
    assert "uv ended with status" in log.read_text()
    assert not complete.exists()
    log.unlink()
    log.mkdir()
    ended = checkout.make("env", **away)
    assert ended.returncode == 2
    assert "warren/.local: the checkout has to be yours." in ended.stderr
    assert not complete.exists()


def assert_everything_runs(installed: Checkout, log: Path) -> None:
    shutil.rmtree(installed.root / ".local/log")  # of the demo
    with installed.up(log) as up:
        pasted = paste_api_block(installed)
        for said in ("202 Accepted", '"verified":true', "/jobs/", '"state":"running"'):
            assert said in pasted
        assert pasted.count('"state":"cancelled"') == 2, pasted  # in the end, and in the list
        assert pasted.count('"state":"sent"') >= 1
        assert installed.make("scale", "compute=2").stdout == "compute: 2\n"
        restarted = r"restarting relay\.1.*\nrelay\.1 started again \(process \d+\)\n"
        assert re.fullmatch(restarted, installed.make("restart", "relay").stdout)
        with (installed.root / "Procfile").open("a") as procfile:
            procfile.write("extra: exec sleep 1000\n")
        assert "no process 'extra'" in installed.make("scale", "extra=1").stderr
        shutil.copy(CHECKOUT / "Procfile", installed.root)
        assert "already runs" in installed.make("up").stderr
        assert re.search(r"compute +2\n", installed.make("status").stdout)
        listed = installed.make("run", "ARGS=python services/web/manage.py dead_letters list")
        assert listed.returncode == 0
        assert (installed.root / ".local/log/web.1.log").exists()
        assert up.alive
        assert "Warren is stopped." in installed.make("down").stdout
        assert up.await_end(deadline=PATIENCE) == 0, up.log


def assert_all_is_removed(installed: Checkout) -> None:
    assert "Removed" in installed.make("clean").stdout
    assert not (installed.root / ".local").exists()
    assert not (installed.root / ".venv").exists()
    assert (installed.root / "../../Documents/kept").read_text() == "precious"


def paste_api_block(checkout: Checkout) -> str:
    """Type all that the pages say on trying the API into one shell at once; what it prints."""
    readme = (checkout.root / "README.md").read_text().partition("## Trying the API")[2]
    page = (checkout.root / "docs/using-the-api.md").read_text()
    block = "".join(text.partition("```sh\n")[2].partition("```")[0] for text in (readme, page))
    here = block.replace(":8000/", f":{checkout.environment['WEB_PORT']}/")
    assert here != block
    pasted = checkout.run("bash", typed=here)
    assert pasted.returncode == 0, pasted.stderr
    return pasted.stdout


def test_getting_uv_removes_nothing_but_its_own(checkout: Checkout) -> None:
    root = checkout.root
    shutil.rmtree(root / ".local")
    for name in ("mails", "uv-0.0.1", "uv-0.0.1-mine"):
        (root / ".local" / name).mkdir(parents=True)
        (root / ".local" / name / "kept").touch()

    def get(version: str, folder: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [root / "infra/local/bootstrap.sh", version], cwd=folder,
            env={**checkout.environment, "PIP_NO_INDEX": "1"},
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    for version in ("../mails", "0.0.1 mails", "*", "..", "."):
        assert get(version, root).returncode == 1
    ended = get("0.0.1", root.parent)
    assert "pip could not install uv 0.0.1" in ended.stderr
    kept = {str(path.relative_to(root / ".local")) for path in root.rglob(".local/*/kept")}
    assert kept == {"mails/kept", "uv-0.0.1-mine/kept"}
    assert (root / "../../Documents/kept").read_text() == "precious"
