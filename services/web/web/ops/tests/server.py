"""gunicorn with web, as it is started by ``make up`` and in a container."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx
from django.db import connection

from local.ports import free_ports
from local.settings import Settings

FOLDER = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds


def environment(**changes: str) -> dict[str, str]:
    return os.environ | {"LOG_FORMAT": "json", "WEB_WORKERS": "1"} | changes


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "not within a minute"
        time.sleep(0.1)


def url_of_test_database(installation: Settings) -> str:
    return installation.database.url("warren", connection.settings_dict["NAME"])


class Server:
    """A gunicorn process and what it answers."""

    def __init__(self, log: Path, **changes: str) -> None:
        self.port = port = free_ports(1)[0]
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                ["gunicorn"],
                cwd=FOLDER,
                env=environment(WEB_PORT=str(port), **changes),
                stderr=stderr,
            )
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE
        )
        until(self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def post(self, path: str, headers: dict[str, str]) -> httpx.Response:
        return self.http.post(path, content=b"{}", headers=headers)

    def memory(self) -> float:
        """Memory of all processes in MiB, which share what they have in common."""
        return self._sum("smaps_rollup", "Pss:")

    def peak(self) -> float:
        """Memory in MiB that all processes had at most, as if they had nothing in common."""
        return self._sum("status", "VmHWM:")

    def _sum(self, file: str, field: str) -> float:
        parent = str(self.process.pid)
        children = (
            Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        )
        texts = [Path(f"/proc/{pid}/{file}").read_text() for pid in (parent, *children)]
        lines = [line for text in texts for line in text.splitlines() if line.startswith(field)]
        return sum(int(line.split()[1]) for line in lines) / 1024

    def register(self, number: int = 0) -> httpx.Response:
        account = {"email": f"ada.{number}@example.org", "password": "correct horse battery"}
        return self.http.post("/api/v1/users", json=account)

    def reaches_the_database(self) -> bool:
        return bool(self.get("/readyz").json()["checks"]["database"] == "ok")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)
