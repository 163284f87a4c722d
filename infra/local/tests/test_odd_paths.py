"""Every target of the Makefile in a checkout whose path no shell would take unquoted."""

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from local import env_file
from local.ports import free_ports
from local.settings import PORTS

CHECKOUT = Path(__file__).parents[3]
# Before the space stands the name of a folder beside it, which must outlive everything.
ODD = 'Documents of "Zoë\'s" $HOME: a; rm -rf * & `id` \\ #'
MADE_HERE = {".git", ".venv", ".local", ".env", "secrets"}
PATIENCE = 90
# These do what another does, or take minutes, or want the network.
NOT_TRIED = {"demo", "coverage", "lint", "lock"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh checkout, whose downloads are those of this one."""
    root = copy_sources(tmp_path)
    link_downloads(root)
    return root


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("odd"))


def copy_sources(folder: Path) -> Path:
    (folder / "Documents").mkdir()
    (folder / "Documents/kept").write_text("precious")
    return shutil.copytree(CHECKOUT, folder / ODD / "warren", symlinks=True, ignore=made_here)


def link_downloads(root: Path) -> None:
    for name in ("packages", *(path.name for path in (CHECKOUT / ".local").glob("uv-*"))):
        if (CHECKOUT / ".local" / name).exists() and not (root / ".local" / name).exists():
            shutil.copytree(
                CHECKOUT / ".local" / name, root / ".local" / name, symlinks=True,
                copy_function=link_or_copy,
            )  # fmt: skip


def made_here(folder: str, names: list[str]) -> set[str]:
    return {"__pycache__"} | (MADE_HERE if folder == str(CHECKOUT) else set())


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture
def environment() -> dict[str, str]:
    """Ports of its own, and nothing of the `make` or pytest that may run this test.

    Compiled modules are kept: dozens of processes start.
    """
    foreign = ("MAKE", "MFLAGS", "ARGS", "PYTEST", "COV_", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    settings = env_file.known(CHECKOUT)  # which web's tests have in their environment
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and name not in settings
    }
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    return {**kept, **ports}


@pytest.fixture
def installed(sources: Path, environment: dict[str, str]) -> Path:
    """A checkout with its packages, in which nothing seems to have run."""
    shutil.rmtree(sources / ".local/log", ignore_errors=True)
    link_downloads(sources)
    words = make(sources, environment, "env", "UV_COMPILE_BYTECODE=0").stderr
    if "Installed" in words:  # not so after another test
        assert len(words.splitlines()) < 40
    assert " + django==" in (sources / ".local/install.log").read_text()
    return sources


def make(
    checkout: Path, environment: dict[str, str], *words: str
) -> "subprocess.CompletedProcess[str]":
    """Run `make` there, with its words as they are typed."""
    return subprocess.run(
        ["make", *words], cwd=checkout, env=environment, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_every_target_works_whatever_the_path_is(
    installed: Path, environment: dict[str, str]
) -> None:
    """A status of make's, and what is said; `make` ends with 2 if a command did not end with 0."""
    few = "ARGS=-p no:randomly -n 0 -q infra/local/tests/test_restarts.py"
    (installed / ".env").write_text("COMPOSE_PROFILES=dev")  # without an end of its line
    expected: dict[tuple[str, ...], tuple[int, str]] = {
        ("help",): (0, "make up  "),
        ("secrets",): (0, ""),
        ("secrets", "ROTATE=flower_password"): (0, ""),
        ("env",): (0, f"settings are in {re.escape(str(installed))}"),
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
        ("run", "ARGS=--alone python services/web/manage.py check"): (0, "no issues"),
        ("format",): (0, ""),
        ("test", few): (0, "passed"),
        ("test-compose", "ARGS=--collect-only -q"): (0, "tests/compose"),
        ("faults", "ARGS=--list"): (0, "RabbitMQ"),
        ("soak", "ARGS=--help"): (0, "--minutes"),
        ("clean",): (0, "Removed"),
    }
    for words, (status, said) in expected.items():
        ended = make(installed, environment, *words)
        assert ended.returncode == status, f"{words}: {ended.stdout}{ended.stderr}"
        assert re.search(said, ended.stdout + ended.stderr), f"{words}: {ended.stdout}"
        assert "Traceback" not in ended.stderr
    targets = set(
        re.findall(r"^([a-z-]+):.*## ", (installed / "Makefile").read_text(), re.MULTILINE)
    )
    assert targets == {words[0] for words in expected} | NOT_TRIED | {"up"}
    assert not (installed / ".local").exists()
    assert not (installed / ".venv").exists()
    assert (installed / "../../Documents/kept").read_text() == "precious"
    names = [line.partition("=")[0] for line in (installed / ".env").read_text().splitlines()]
    assert [names.count(name) for name in ("COMPOSE_PROFILES", "WARREN_ENVIRONMENT")] == [1, 1]


def test_what_cannot_be_installed_is_said_with_the_place_of_the_rest(
    checkout: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    away = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    ended = make(checkout, {**environment, **away}, "env")
    assert ended.returncode == 2
    assert "1 to 3 minutes" in ended.stderr
    assert "The whole of what uv said is in .local/install.log" in ended.stderr
    assert "uv ended with status" in (checkout / ".local/install.log").read_text()
    assert not (checkout / ".venv/.complete").exists()
    (checkout / ".local/install.log").unlink()
    (checkout / ".local/install.log").mkdir()
    ended = make(checkout, {**environment, **away}, "env")
    assert ended.returncode == 2
    assert "warren/.local: the checkout has to be yours." in ended.stderr
    assert not (checkout / ".venv/.complete").exists()


def test_everything_runs_whatever_the_path_is(
    installed: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "up.log"
    with log.open("w") as output:
        up = subprocess.Popen(
            ["make", "up"], cwd=installed, env=environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        up_and_at_work = r"(?s)(?=.*Warren is up\.)(?=.*compute-\d+@\S+ ready\.)"
        while not re.match(up_and_at_work, log.read_text()):
            assert up.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        pasted = paste_api_block(installed, environment)
        for said in ("202 Accepted", '"verified":true', "/jobs/", '"state":"running"'):
            assert said in pasted
        assert pasted.count('"state":"cancelled"') == 2, pasted  # in the end, and in the list
        assert pasted.count('"state":"sent"') >= 1
        assert make(installed, environment, "scale", "compute=2").stdout == "compute: 2\n"
        restarted = r"restarting relay\.1.*\nrelay\.1 started again \(process \d+\)\n"
        assert re.fullmatch(restarted, make(installed, environment, "restart", "relay").stdout)
        with (installed / "Procfile").open("a") as procfile:
            procfile.write("extra: exec sleep 1000\n")
        assert "no process 'extra'" in make(installed, environment, "scale", "extra=1").stderr
        shutil.copy(CHECKOUT / "Procfile", installed)
        assert "already runs" in make(installed, environment, "up").stderr
        assert re.search(r"compute +2\n", make(installed, environment, "status").stdout)
        assert (
            make(
                installed,
                environment,
                "run",
                "ARGS=python services/web/manage.py dead_letters list",
            ).returncode
            == 0
        )
        assert (installed / ".local/log/web.1.log").exists()
        assert up.poll() is None
        assert "Warren is stopped." in make(installed, environment, "down").stdout
        assert up.wait(timeout=PATIENCE) == 0, log.read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(up.pid, signal.SIGTERM)
            up.wait(timeout=PATIENCE)


def paste_api_block(checkout: Path, environment: dict[str, str]) -> str:
    """Type all that the README says on trying the API into a shell at once; what it prints."""
    readme = (checkout / "README.md").read_text().partition("## Trying the API")[2]
    block = readme.partition("```sh\n")[2].partition("```")[0]
    here = block.replace(":8000/", f":{environment['WEB_PORT']}/")
    assert here != block
    return subprocess.run(
        ["bash"], input=here, cwd=checkout, env=environment, capture_output=True, text=True,
        timeout=PATIENCE, check=True,
    ).stdout  # fmt: skip


def test_getting_uv_removes_nothing_but_its_own(
    checkout: Path, environment: dict[str, str]
) -> None:
    shutil.rmtree(checkout / ".local")
    for name in ("mails", "uv-0.0.1", "uv-0.0.1-mine"):
        (checkout / ".local" / name).mkdir(parents=True)
        (checkout / ".local" / name / "kept").touch()
    script = str(checkout / "infra/local/bootstrap.sh")

    def get(version: str, folder: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [script, version], cwd=folder, env={**environment, "PIP_NO_INDEX": "1"},
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    for version in ("../mails", "0.0.1 mails", "*", "..", "."):
        assert get(version, checkout).returncode == 1
    ended = get("0.0.1", checkout.parent)
    assert "pip could not install uv 0.0.1" in ended.stderr
    kept = {str(path.relative_to(checkout / ".local")) for path in checkout.rglob(".local/*/kept")}
    assert kept == {"mails/kept", "uv-0.0.1-mine/kept"}
    assert (checkout / "../../Documents/kept").read_text() == "precious"
