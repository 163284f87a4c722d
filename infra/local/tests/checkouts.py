"""Copies of this checkout, in which tests run `make` as its users do."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from local import env_file
from local.ports import free_ports
from local.settings import PORTS, Settings
from tests.support.program import Program

CHECKOUT = Path(__file__).parents[3]
MADE_HERE = {".git", ".venv", ".local", ".env", "secrets"}
FOREIGN = ("MAKE", "MFLAGS", "ARGS", "PYTEST", "COV_", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
UP_AND_AT_WORK = r"(?s)(?=.*Warren is up\.)(?=.*compute-\d+@\S+ ready\.)"
PATIENCE = 300  # seconds for any one command


class Checkout:
    """A copy of the sources, with ports of its own."""

    def __init__(self, root: Path) -> None:
        """Copy them to `root`."""
        self.root: Path = shutil.copytree(CHECKOUT, root, symlinks=True, ignore=_made_here)
        self.environment = self._environment()

    @property
    def settings(self) -> Settings:
        """What its `.env` says, with its ports."""
        return Settings.load(self.root, self.environment)

    def link_downloads(self) -> None:
        """Let it find uv and the servers' programs where `make` would put them."""
        for name in ("packages", *(path.name for path in (CHECKOUT / ".local").glob("uv-*"))):
            source, target = CHECKOUT / ".local" / name, self.root / ".local" / name
            if source.exists() and not target.exists():
                shutil.copytree(source, target, symlinks=True, copy_function=_link_or_copy)

    def make(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `make` there, with its words as they are typed."""
        return self.run("make", *words, **environment)

    def run(
        self, *command: str, typed: str | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command there, until it ends."""
        return subprocess.run(
            command, cwd=self.root, env={**self.environment, **environment}, input=typed,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    @contextmanager
    def up(self, log: Path) -> Iterator[Program]:
        """Run `make up`, from when its workers are at work; what it prints goes to `log`."""
        with Program(["make", "up"], log, self.environment, directory=self.root) as program:
            try:
                program.poll(
                    lambda: not program.alive or re.match(UP_AND_AT_WORK, program.log),
                    what="start",
                    deadline=PATIENCE,
                )
                assert program.alive, program.log
                yield program
            finally:
                with suppress(ProcessLookupError):
                    program.send_to_all(signal.SIGTERM)
                program.await_end(deadline=PATIENCE)

    @staticmethod
    def _environment() -> dict[str, str]:
        """Nothing of the `make` or pytest that may run this test, nor of web's tests.

        Modules are compiled when they are first needed, and kept: dozens of processes start, and
        need a third of all that there are.
        """
        settings = env_file.known(CHECKOUT)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(FOREIGN) and name not in settings
        }
        ports = zip(PORTS, map(str, free_ports(len(PORTS))), strict=True)
        return {**kept, **dict(ports), "UV_COMPILE_BYTECODE": "0"}


def _made_here(folder: str, names: list[str]) -> set[str]:
    return {"__pycache__"} | (MADE_HERE if folder == str(CHECKOUT) else set())


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
