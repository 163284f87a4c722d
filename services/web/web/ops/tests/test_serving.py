"""gunicorn as it runs: how it starts, refuses to start, outlives an outage and stops."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from rest_framework_simplejwt.tokens import AccessToken

from local import packages
from local.database import Database
from local.ports import free_ports
from local.settings import Settings
from web.jobs.tests.factories import make_computation, make_job, make_user
from web.ops.tests.server import (
    FOLDER,
    PATIENCE,
    Server,
    environment,
    until,
    url_of_test_database,
)

PACKAGES = FOLDER.parents[1] / ".local" / "packages"


@pytest.fixture
def cluster(installation: Settings, tmp_path: Path) -> Iterator[Database]:
    """A database that is not there yet."""
    settings = replace(installation.database, directory=tmp_path / "pg", port=free_ports(1)[0])
    cluster = Database(settings, packages.postgresql(PACKAGES, print))
    yield cluster
    cluster.stop()


def test_web_outlives_every_outage_of_the_database(cluster: Database, tmp_path: Path) -> None:
    server = Server(tmp_path / "log", DATABASE_URL=cluster.settings.url("warren"))
    try:
        assert not server.reaches_the_database()
        refused = server.register()
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.headers["Retry-After"] == "5"
        for _ in range(2):
            cluster.start()
            until(server.reaches_the_database)
            cluster.stop()
            until(lambda: not server.reaches_the_database())
        unready = server.get("/readyz")
        assert (unready.status_code, unready.headers["Retry-After"]) == (503, "5")
    finally:
        code = server.stop()
    assert code == 0


def test_all_that_gunicorn_and_django_log_is_structured(tmp_path: Path) -> None:
    with Server(tmp_path / "log") as server:
        server.get("/api/nothing?key=planted-key")
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {line["service"] for line in lines} == {"web"}
    assert any(line["event"].startswith("Booting worker") for line in lines)
    answered = [line for line in lines if line["event"] == "request answered"]
    assert (answered[-1]["path"], answered[-1]["status"]) == ("/api/nothing", 404)
    assert "planted-key" not in server.log.read_text()


@pytest.mark.django_db(transaction=True)
def test_a_burst_of_registrations_takes_little_memory(
    installation: Settings, tmp_path: Path
) -> None:
    url = url_of_test_database(installation)
    with Server(tmp_path / "log", DATABASE_URL=url) as server, ThreadPoolExecutor(64) as clients:
        before = server.memory()
        answers = list(clients.map(server.register, range(150)))
        grown = server.memory() - before
    # More come at a time than there are connections to the database: hashing takes none.
    assert {answer.status_code for answer in answers} == {202}
    # Thirty-two threads would hash in 608 MiB, and each keep its own.
    assert grown < 120, f"{grown:.0f} MiB more than before"


@pytest.mark.django_db(transaction=True)
def test_the_largest_jobs_many_at_a_time_leave_room_in_the_container(
    installation: Settings, tmp_path: Path
) -> None:
    url = url_of_test_database(installation)
    ada = make_user()
    make_computation("echo", arguments_schema={"type": "object"}, result_schema={})
    headers = {"Authorization": f"Bearer {AccessToken.for_user(ada)}"}
    largest = ["x" * 62] * 3_900  # a little less than 256 KiB
    jobs = [make_job(ada, state="succeeded", result=largest) for _ in range(50)]
    body = {"computation": "echo", "arguments": {"values": largest}}
    with (
        Server(tmp_path / "log", DATABASE_URL=url, WEB_WORKERS="2") as server,
        ThreadPoolExecutor(32) as clients,
    ):

        def ask(number: int) -> list[int]:
            job = jobs[number % len(jobs)]
            answers = (
                server.http.get(f"/api/v1/jobs/{job.id}", headers=headers),
                server.http.get("/api/v1/jobs?page_size=200", headers=headers),
                server.http.post("/api/v1/jobs", json=body, headers=headers),
            )
            return [answer.status_code for answer in answers]

        codes = list(clients.map(ask, range(150)))
        peak = server.peak()
    assert codes == [[200, 200, 202]] * 150
    assert peak < 700, f"{peak:.0f} of 768 MiB"


@pytest.mark.django_db(transaction=True)
def test_a_body_that_does_not_come_holds_no_connection(
    installation: Settings, tmp_path: Path
) -> None:
    url = url_of_test_database(installation)
    lines = ("POST /api/v1/users HTTP/1.1", "Host: localhost", "Content-Length: 99", "", "{")
    with (
        Server(tmp_path / "log", DATABASE_URL=url, DATABASE_POOL_SIZE="2") as server,
        ExitStack() as open_,
    ):
        for _ in range(5):
            half = open_.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            half.sendall("\r\n".join(lines).encode())
        assert server.register().status_code == 202


@pytest.mark.parametrize(
    "content_type",
    [
        "a/b; charset=zlib",
        "a/b; charset*=nothing''%41",
        "a/b; charset*=punycode''%41",
        "; ; =",
    ],
)
def test_no_content_type_goes_unanswered(tmp_path: Path, content_type: str) -> None:
    with Server(tmp_path / "log") as server:
        answer = server.post("/api/v1/users", {"Content-Type": content_type})
    assert answer.status_code == 415
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(("host", "bound"), [("::1", "[::1]:8000"), ("127.0.0.1", "127.0.0.1:")])
def test_web_listens_where_it_is_told_to(host: str, bound: str) -> None:
    shown = subprocess.run(
        ["gunicorn", "--print-config"], cwd=FOLDER, capture_output=True, text=True, check=True,
        env=environment(WEB_HOST=host, WEB_PORT="8000"), timeout=PATIENCE,
    )  # fmt: skip
    assert bound in shown.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PUBLIC_URL": ""}, "PUBLIC_URL is missing. Example: PUBLIC_URL=https://"),
        ({"WEB_PORT": "http"}, "WEB_PORT='http' is wrong"),
        ({"WEB_WORKERS": "0"}, "WEB_WORKERS='0' is wrong: it must be at least 1"),
        ({"WEB_THREADS": "24", "JOB_WAITERS": "24"}, "WEB_THREADS=24 must be greater than"),
        ({"DJANGO_SECRET_KEY": ""}, "DJANGO_SECRET_KEY is missing"),
        ({"JWT_SIGNING_KEY": ""}, "JWT_SIGNING_KEY is missing"),
        (
            {"WARREN_ENVIRONMENT": "production", "DJANGO_DEBUG": "true"},
            "DJANGO_DEBUG='true' is wrong: it is for WARREN_ENVIRONMENT=development alone",
        ),
        ({"RECONCILE_INTERVAL": "60"}, "RECONCILE_INTERVAL='60' is wrong: it must be at most 10"),
        ({"RECONCILE_AFTER": "3"}, "RECONCILE_AFTER='3' is wrong: it must be at least 10"),
        ({"THROTTLE_SIGN_IN": "often"}, "THROTTLE_SIGN_IN is wrong: it must be a number, a slash"),
    ],
)
def test_wrong_settings_are_named_and_nothing_starts(changes: dict[str, str], message: str) -> None:
    ended = subprocess.run(
        ["gunicorn"], cwd=FOLDER, env=environment(**changes), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ended.returncode == os.EX_CONFIG
    assert ended.stderr.startswith("web cannot start: ")
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_serves_nobody_needs_no_keys() -> None:
    subprocess.run(
        ["python", "manage.py", "check"], cwd=FOLDER, check=True, timeout=PATIENCE,
        env=environment(DJANGO_SECRET_KEY="", JWT_SIGNING_KEY=""),
    )  # fmt: skip
