"""gunicorn with web, as it is started by ``make up`` and in a container."""

import os
from pathlib import Path

import httpx
from django.db import connection

from local.ports import free_ports
from local.settings import Settings
from tests.support.program import Program

FOLDER = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds


def environment(**changes: str) -> dict[str, str]:
    return os.environ | {"LOG_FORMAT": "json", "WEB_WORKERS": "1"} | changes


def url_of_test_database(installation: Settings) -> str:
    return installation.database.url("warren", connection.settings_dict["NAME"])


class Server(Program):
    """A gunicorn process and what it answers."""

    def __init__(self, log: Path, **changes: str) -> None:
        self.port = port = free_ports(1)[0]
        settings = environment(WEB_PORT=str(port), **changes)
        super().__init__(["gunicorn"], log, settings, directory=FOLDER)
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE
        )
        self.poll(self.answers, what="answer")

    def answers(self) -> bool:
        assert self.alive, self.log
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
        texts = [Path(f"/proc/{pid}/{file}").read_text() for pid in (self.pid, *self.children)]
        lines = [line for text in texts for line in text.splitlines() if line.startswith(field)]
        return sum(int(line.split()[1]) for line in lines) / 1024

    def register(self, number: int = 0) -> httpx.Response:
        account = {"email": f"ada.{number}@example.org", "password": "correct horse battery"}
        return self.http.post("/api/v1/users", json=account)

    def reaches_the_database(self) -> bool:
        return bool(self.get("/readyz").json()["checks"]["database"] == "ok")

    def stop(self) -> int:
        self.http.close()
        return super().stop()

    def __exit__(self, *_: object) -> None:
        self.stop()
