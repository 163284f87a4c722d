"""gunicorn as it runs: how it starts, refuses to start, outlives an outage and stops."""

import ast
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from local.environment import process_environment
from local.ports import free_ports
from local.run.up import is_ready
from local.servers import packages
from local.servers.database import Database
from local.settings import Settings
from tests.support.program import Program
from web.accounts.tests.factories import access_token
from web.jobs.tests.factories import make_computation, make_job, make_user
from web.ops.tests.server import (
    FOLDER,
    PATIENCE,
    Server,
    environment,
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
            server.poll(server.reaches_the_database, what="database")
            cluster.stop()
            server.poll(lambda: not server.reaches_the_database(), what="outage")
        unready = server.get("/readyz")
        assert (unready.status_code, unready.headers["Retry-After"]) == (503, "5")
    finally:
        code = server.stop()
    assert code == 0


def test_all_that_gunicorn_and_django_log_is_structured(tmp_path: Path) -> None:
    with Server(tmp_path / "log") as server:
        server.get("/api/nothing?key=planted-key")
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert {line["service"] for line in lines} == {"web"}
    assert any(line["event"].startswith("Booting worker") for line in lines)
    answered = [line for line in lines if line["event"] == "request answered"]
    assert (answered[-1]["path"], answered[-1]["status"]) == ("/api/nothing", 404)
    assert "planted-key" not in server.log


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
    headers = {"Authorization": f"Bearer {access_token(ada)}"}
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


REFUSED = {
    "no number": (b"Content-Length: x", 400),
    "two lengths": (b"Content-Length: 1\r\nContent-Length: 2", 400),
    "length and chunks": (b"Content-Length: 1\r\nTransfer-Encoding: chunked", 400),
    "encoding": (b"Transfer-Encoding: gzip", 400),
    "unknown encoding": (b"Transfer-Encoding: x", 501),
    "two types": (b"Content-Type: a/b\r\nContent-Type: c/d", 400),
    "NUL": (b"X-Name: a\0b", 400),
    "no colon": (b"X-Name", 400),
    "folded": (b"X-Name: a\r\n b", 400),
    "large": (b"X-Name: " + b"x" * 9_000, 431),
    "many": (b"\r\n".join(b"X-%d: x" % number for number in range(101)), 431),
    "expectation": (b"Expect: 42", 417),
}


def ask(server: Server, request: bytes) -> httpx.Response:
    """Send bytes that no client's library would send, and read the answer to its end."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        client.sendall(request)
        parts = iter(lambda: client.recv(65_536), b"")
        head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in headers)]
    return httpx.Response(int(status.split()[1]), headers=fields, content=body)


def test_what_gunicorn_refuses_by_itself_is_a_problem_with_an_id(tmp_path: Path) -> None:
    lines = {name: (b"GET /api/v1/jobs HTTP/1.1", *rest) for name, rest in REFUSED.items()}
    lines["line"] = (b"GET /%s HTTP/1.1" % (b"x" * 5_000), b"X-Name: x", 414)
    lines["bytes"] = (b"GET /\xff HTTP/1.1", b"X-Name: x", 400)
    lines["method"] = (b"g=t / HTTP/1.1", b"X-Name: x", 400)
    lines["version"] = (b"GET / HTTP/9.9", b"X-Name: x", 400)
    with Server(tmp_path / "log") as server:
        for name, (line, header, status) in lines.items():
            answer = ask(server, b"%s\r\nHost: localhost\r\n%s\r\n\r\n" % (line, header))
            assert answer.status_code == status, name
            assert answer.headers["Content-Type"] == "application/problem+json", name
            problem = answer.json()
            assert (problem["status"], problem["code"]) == (status, "bad_request"), name
            assert problem["request_id"] == answer.headers["X-Request-ID"] != "", name
            assert f'"{problem["request_id"]}"' in server.log, name
        assert server.get("/healthz").status_code == 200


@pytest.mark.parametrize(("host", "bound"), [("::1", "[::1]:8000"), ("127.0.0.1", "127.0.0.1:")])
def test_web_listens_where_it_is_told_to(host: str, bound: str) -> None:
    shown = subprocess.run(
        ["gunicorn", "--print-config"], cwd=FOLDER, capture_output=True, text=True, check=True,
        env=environment(WEB_HOST=host, WEB_PORT="8000"), timeout=PATIENCE,
    )  # fmt: skip
    assert bound in shown.stdout


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.2", "::", "::1"])  # noqa: S104
def test_make_up_finds_web_wherever_it_listens(
    installation: Settings, tmp_path: Path, host: str
) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    here = {"WEB_HOST": host, "ALLOWED_HOSTS": "warren.example.org"}
    ports = {**installation.ports, "WEB_PORT": free_ports(1)[0]}
    settings = replace(installation, variables={**installation.variables, **here}, ports=ports)
    told = process_environment(settings, os.environ) | {
        "DATABASE_URL": url_of_test_database(installation), "WEB_WORKERS": "1",
    }  # fmt: skip
    with Program(["gunicorn"], tmp_path / "log", told, directory=FOLDER) as server:
        server.poll(lambda: is_ready(settings), what="answer")


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
        ({"CORS_ALLOWED_ORIGINS": "*"}, "CORS_ALLOWED_ORIGINS is wrong: '*' is no origin"),
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


COOKIES = """
from web import settings
import django.conf.global_settings as default
for name in ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "SESSION_COOKIE_SECURE"):
    print(getattr(settings, name, getattr(default, name)))
"""


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("https", ["__Host-sessionid", "__Host-csrftoken", "True"]),
        ("http", ["sessionid", "csrftoken", "False"]),  # browsers keep no such cookie then
    ],
)
def test_with_https_no_neighbour_can_set_the_cookies(scheme: str, expected: list[str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", COOKIES], cwd=FOLDER, capture_output=True, text=True, check=True,
        env=environment(PUBLIC_URL=f"{scheme}://warren.example.org"), timeout=PATIENCE,
    )  # fmt: skip
    assert shown.stdout.split() == expected


LIMITS = """
from web import settings
rates = {name: rate for name, rate in vars(settings).items() if name.startswith("THROTTLE_")}
print({name: (rate.limit, rate.seconds) for name, rate in rates.items()})
"""


def limits(stage: str) -> dict[str, tuple[int, int]]:
    shown = subprocess.run(
        [sys.executable, "-c", LIMITS], cwd=FOLDER, capture_output=True, text=True, check=True,
        env=environment(WARREN_ENVIRONMENT=stage), timeout=PATIENCE,
    )  # fmt: skip
    found: dict[str, tuple[int, int]] = ast.literal_eval(shown.stdout)
    return found


def test_production_has_the_limits_of_people_and_development_those_of_tests() -> None:
    alike = {
        "THROTTLE_SIGN_IN_FAILURES": (20, 600),
        "THROTTLE_SIGN_IN_FAILURES_ADDRESS": (500, 600),
    }
    assert limits("production") == alike | {
        "THROTTLE_REGISTRATION": (10, 600),
        "THROTTLE_VERIFICATION": (30, 60),
        "THROTTLE_SIGN_IN": (30, 60),
        "THROTTLE_SUBMISSION": (10_000, 3_600),
    }
    assert limits("development") == alike | {
        "THROTTLE_REGISTRATION": (600, 60),
        "THROTTLE_VERIFICATION": (600, 60),
        "THROTTLE_SIGN_IN": (600, 60),
        "THROTTLE_SUBMISSION": (1_000_000, 3_600),
    }


def test_what_serves_nobody_needs_no_keys() -> None:
    subprocess.run(
        ["python", "manage.py", "check"], cwd=FOLDER, check=True, timeout=PATIENCE,
        env=environment(DJANGO_SECRET_KEY="", JWT_SIGNING_KEY=""),
    )  # fmt: skip
