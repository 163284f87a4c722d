"""Asks apt for dependencies and downloads, as any user, without a change of the system."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from local.errors import LocalError

LISTS_SECONDS = 3600  # age up to which package lists count as new


class Report(Protocol):
    def __call__(self, text: str, /) -> None: ...


class Apt:
    """apt-get with downloads in `folder`, and with package lists there if the system's fail."""

    def __init__(self, folder: Path, report: Report) -> None:
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise LocalError(
                "RabbitMQ or PostgreSQL is missing, and this system has no apt-get to get it with. "
                "Install both yourself (rabbitmq-server 3.10 or newer, PostgreSQL 14 or newer), "
                "or use `docker compose up --wait`."
            )
        self._folder = folder
        self._report = report
        self._own_lists = False
        (folder / "archives").mkdir(parents=True, exist_ok=True)

    def installed(self) -> set[str]:
        """Return the names of the packages that are installed."""
        lines = self._run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n")
        pairs = (line.split() for line in lines.splitlines())
        return {name for status, name in pairs if status == "installed"}

    def dependencies(self, package: str) -> list[str]:
        """Name the package and all its dependencies, as if nothing were installed."""
        (self._folder / "status").touch()
        plan = self._retrying(
            *(
                "--simulate",
                "--no-install-recommends",
                "-o",
                f"Dir::State::status={self._folder}/status",
            ),
            *("install", package),
        )
        return [name.partition(":")[0] for name in re.findall(r"^Inst (\S+)", plan, re.MULTILINE)]

    def download(self, packages: Sequence[str]) -> list[Path]:
        """Fetch the packages' archives. Raises LocalError."""
        self._report(f"downloading {len(packages)} packages")
        self._retrying("download", *packages)
        archives = sorted((self._folder / "archives").glob("*.deb"))
        size = sum(archive.stat().st_size for archive in archives) / 1e6
        self._report(f"unpacking {len(archives)} packages, {size:.0f} MB")
        return archives

    def clean(self) -> None:
        """Remove the archives, but keep the lists for the next package."""
        shutil.rmtree(self._folder / "archives")

    def _retrying(self, *arguments: str) -> str:
        """Run apt-get. If it fails, run it once more with freshly fetched package lists.

        On a fresh machine the system's lists are missing, or name packages that the mirrors have
        replaced. Lists in a folder of our own need no root.
        """
        try:
            return self._run("apt-get", *self._options(), *arguments)
        except LocalError:
            if self._own_lists:
                raise
        self._fetch_lists()
        return self._run("apt-get", *self._options(), *arguments)

    def _fetch_lists(self) -> None:
        self._own_lists = True
        fetched = self._folder / "lists-fetched"
        if fetched.exists() and time.time() - fetched.stat().st_mtime < LISTS_SECONDS:
            return
        self._report("fetching the distribution's package lists")
        for name in ("lists/partial", "cache/archives/partial"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        # Unchecked: a third-party source that cannot be reached does not matter. If a list is
        # missing, the next command fails.
        command = self._command("apt-get", *self._options(), "update")
        subprocess.run(command, capture_output=True, check=False)
        fetched.touch()

    def _options(self) -> list[str]:
        if not self._own_lists:
            return []
        lists = f"Dir::State::lists={self._folder}/lists"
        return ["-o", lists, "-o", f"Dir::Cache={self._folder}/cache"]

    def _run(self, *command: str) -> str:
        result = subprocess.run(
            self._command(*command),
            cwd=self._folder / "archives",
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise LocalError(
                f"`{' '.join(command[:1] + command[-2:])}` failed:\n{result.stderr.strip()}\n"
                "Check the network and the apt sources, or install rabbitmq-server and postgresql "
                "yourself, or use `docker compose up --wait`."
            )
        return result.stdout

    @staticmethod
    def _command(program: str, *arguments: str) -> list[str]:
        if program != "apt-get":
            return [program, *arguments]
        # Root's apt-get would switch to the user _apt, which may not enter a root-only checkout.
        return [program, "--quiet", "-o", "APT::Sandbox::User=root", *arguments]
