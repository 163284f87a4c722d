"""The proxy: the only way in, and what it lets through for whom."""

import hashlib
import json
import select
import socket
import subprocess
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path

import httpx
import pytest

from contracts.topology import SERVICES, queue_name
from tests.support.http_load import Answered, request, send
from tests.support.polling import poll

from .client import PATIENCE
from .composition import Composition

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
OPERATORS_PAGES = ("/flower/", "/flower/tasks", "/rabbitmq/", "/rabbitmq/api/overview", "/mails/")
FORGED = "203.0.113.7"
USES = "from web.accounts.models import RateUsage as R; print([*R.objects.values_list('key')])"
THROUGH_THE_PROXY = """
from urllib.request import Request, urlopen
request = Request("http://proxy:8080/api/schema/", headers={"Host": "localhost"})
print(urlopen(request, timeout=30).status)
"""


def test_nothing_but_the_proxy_publishes_a_port(composition: Composition) -> None:
    found = {
        (service, binding["HostIp"], int(binding["HostPort"]))
        for service in composition.services()
        for container in composition.containers(service)
        for bindings in composition.inspect(container)["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }

    assert found == {("proxy", "127.0.0.1", port) for port in composition.ports.values()}


@pytest.mark.parametrize("page", OPERATORS_PAGES)
def test_operators_pages_ask_a_stranger_to_sign_in(visitor: httpx.Client, page: str) -> None:
    for credentials in (None, ("guest", "guest"), ("warren", "warren")):
        answer = visitor.get(page, auth=credentials)

        assert answer.status_code == 302
        assert answer.headers["Location"] == f"/admin/login/?next={page}"


def test_staff_see_flower_with_all_workers_and_rabbitmq(
    composition: Composition, operator: httpx.Client
) -> None:
    def all_of_them() -> set[str] | None:
        """Services of the workers that Flower names, also those that were scaled away."""
        known = operator.get("/flower/api/workers", params={"refresh": 1}).json()
        services = {name.partition("-")[0] for name in known}
        return services if services >= {*SERVICES} else None

    workers = poll(all_of_them, what="all workers in Flower", deadline=PATIENCE)
    password = composition.secret("rabbitmq_monitoring_password")
    queues = operator.get("/rabbitmq/api/queues/warren", auth=("monitoring", password)).json()

    assert workers == {*SERVICES}
    assert {*map(queue_name, SERVICES), "web.results", "web.dead"} <= {
        queue["name"] for queue in queues
    }
    assert "RabbitMQ Management" in operator.get("/rabbitmq/").text
    assert "Flower" in operator.get("/flower/").text


def test_staff_need_a_password_of_rabbitmq_too(operator: httpx.Client) -> None:
    assert operator.get("/rabbitmq/api/overview").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "/healthz", "/readyz", "/staff/flower", "/.staff/flower"),
        *("/healthz/", "//healthz"),
        *("/%68ealthz", "/x/../healthz", "/flower/metrics", "/flower/healthcheck"),
    ],
)
def test_health_and_metrics_are_not_public(
    composition: Composition, operator: httpx.Client, path: str
) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in operator.cookies.items())
    command = ["curl", "--silent", "--path-as-is", "--header", f"Cookie: {cookies}"]
    status = ("--output", "/dev/null", "--write-out", "%{http_code}")
    asked = [*command, *status, f"{composition.url}{path}"]

    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "404"


def test_a_line_break_in_an_address_begins_no_header(visitor: httpx.Client) -> None:
    answer = visitor.get("/flower/%0d%0aX-Injected:%20yes")

    assert answer.status_code == 302
    assert "X-Injected" not in answer.headers


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/admin/login/", "/flower/", "/metrics"])
def test_security_headers_come_once_with_every_answer(visitor: httpx.Client, path: str) -> None:
    headers = visitor.get(path).headers

    assert headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert headers.get_list("X-Frame-Options") == ["DENY"]
    assert headers.get_list("Referrer-Policy") == ["same-origin"]
    assert headers["Server"] == "nginx"  # and no version


def test_a_request_keeps_its_id_and_gets_one_if_it_has_none(visitor: httpx.Client) -> None:
    given = visitor.get("/api/v1/jobs", headers={"X-Request-ID": "from-afar.1"})
    made = visitor.get("/api/v1/jobs")
    refused = visitor.get("/api/v1/jobs", headers={"X-Request-ID": "two words"})

    assert given.headers.get_list("X-Request-ID") == ["from-afar.1"]
    assert given.json()["request_id"] == "from-afar.1"
    for answer in (made, refused):
        assert len(answer.headers["X-Request-ID"]) == 32
        assert answer.headers["X-Request-ID"] == answer.json()["request_id"]


def test_a_body_that_is_too_large_is_refused_with_a_problem(visitor: httpx.Client) -> None:
    answer = visitor.post("/api/v1/users", content=b"x" * (256 * 1024 + 1))

    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "content_too_large"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /api/v1/jobs HTTP/1.1\r\nContent-Length: x", 400),
        ("GET /%zz HTTP/1.1", 400),
        ("nonsense", 400),
        (f"GET /{'x' * 40_000} HTTP/1.1", 414),
        (f"GET /api/v1/jobs HTTP/1.1\r\nX-Name: {'x' * 40_000}", 431),
        ("TRACE / HTTP/1.1", 405),
        ("GET / HTTP/9.9", 505),
        ("POST /api/v1/users HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz", 400),
    ],
    ids=["length", "escape", "line", "address", "header", "method", "version", "chunk"],
)
def test_what_nginx_refuses_by_itself_is_a_problem_with_an_id(
    composition: Composition, request_: str, status: int
) -> None:
    line, _, rest = request_.partition("\r\n")
    lines = (line, "Host: localhost", "Connection: close", *([rest] if rest else []), "", "")
    with socket.create_connection(("127.0.0.1", composition.ports["WEB_PORT"]), 30) as client:
        client.sendall("\r\n".join(lines).encode())
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, "bad_request")
    assert f"X-Request-ID: {problem['request_id']}" in head


def test_bodies_half_sent_neither_fill_the_proxy_nor_lock_others_out(
    composition: Composition, visitor: httpx.Client
) -> None:
    port = composition.ports["WEB_PORT"]
    lines = ("POST /api/v1/jobs HTTP/1.1", "Host: localhost", "Content-Length: 262144", "", "")
    with ExitStack() as opened:
        clients = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(150)
        ]
        for client in clients:
            client.sendall("\r\n".join(lines).encode() + b" " * 200_000)
        refused = poll(lambda: refusals(clients), what="refusal", deadline=PATIENCE)
        assert b" 429 " in refused[0]
        assert b"application/problem+json" in refused[0]
        # From another address, such as this one of a container, all is as ever.
        assert "200" in composition.run_in("web", "python", "-c", THROUGH_THE_PROXY)
    poll(
        lambda: visitor.get("/api/v1/jobs").status_code == 401, what="room again", deadline=PATIENCE
    )
    [container] = composition.containers("proxy")
    assert composition.inspect(container)["RestartCount"] == 0


def test_one_address_asks_only_so_often_and_others_do_not_feel_it(composition: Composition) -> None:
    port = composition.ports["WEB_PORT"]
    one = request("GET", "/api/v1/jobs", port)

    def limited() -> Answered | None:
        answered = send(port, iter(repeat(one, 2000)), concurrency=50)
        assert {*answered.statuses} <= {401, 429}
        return answered if answered.statuses[429] else None

    poll(limited, what="refusal", deadline=PATIENCE)
    assert "200" in composition.run_in("web", "python", "-c", THROUGH_THE_PROXY)


def test_a_full_folder_for_bodies_takes_neither_the_memory_nor_what_needs_no_room(
    composition: Composition, visitor: httpx.Client
) -> None:
    [container] = composition.containers("proxy")
    fill = "head -c 200000000 /dev/zero >/tmp/full || true; wc -c </tmp/full"
    body = b" " * 100_000  # more than nginx keeps in memory
    try:
        written = int(composition.run_in("proxy", "sh", "-c", fill))
        small, large = visitor.get("/api/v1/jobs"), visitor.post("/api/v1/users", content=body)
    finally:
        composition.run_in("proxy", "sh", "-c", "rm /tmp/full")
    limit = composition.inspect(container)["HostConfig"]["Memory"]
    assert 32 * 2**20 < written <= 64 * 2**20 <= limit / 2
    assert small.status_code == 401
    assert (large.status_code, large.json()["code"]) == (503, "unavailable")
    assert visitor.post("/api/v1/users", content=body).status_code == 413  # from web
    assert composition.inspect(container)["RestartCount"] == 0


def refusals(clients: list[socket.socket]) -> list[bytes]:
    """What those have been answered who have been answered at all."""
    readable, _, _ = select.select(clients, [], [], 0)
    return [client.recv(4096) for client in readable]


def test_a_client_cannot_forge_its_address(composition: Composition, visitor: httpx.Client) -> None:
    body = {"email": "nobody@example.org", "password": "wrong"}
    forged = {"X-Forwarded-For": FORGED, "X-Real-IP": FORGED, "Forwarded": f"for={FORGED}"}
    assert visitor.post("/api/v1/auth/token", json=body, headers=forged).status_code == 401
    network = composition.inspect(f"{composition.project}_public")
    real = network["IPAM"]["Config"][0]["Gateway"]  # from where connections of this machine come

    counted = composition.run_in("web", "python", "manage.py", "shell", "-v", "0", "-c", USES)

    assert hashlib.sha256(real.encode()).hexdigest() in counted
    assert hashlib.sha256(FORGED.encode()).hexdigest() not in counted


def test_while_web_is_away_the_answer_is_a_problem(
    composition: Composition, visitor: httpx.Client
) -> None:
    composition.compose("stop", "web")
    try:
        answers = [visitor.get(path) for path in ("/api/v1/jobs", *OPERATORS_PAGES)]
    finally:
        composition.compose("start", "web")
        composition.compose("up", "--wait", "--no-recreate")

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers.get_list("Retry-After") == ["5"]
    assert visitor.get("/api/v1/jobs").status_code == 401


def test_with_a_certificate_everything_goes_by_tls(
    composition: Composition, secrets_folder: Path, visitor: httpx.Client
) -> None:
    certificate = secrets_folder / "tls_certificate"
    files = ("-out", str(certificate), "-keyout", str(secrets_folder / "tls_key"))
    name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    subprocess.run([*make, *files, *name], check=True, capture_output=True)
    (secrets_folder / "tls_key").chmod(0o644)
    replace = ("up", "--wait", "--no-deps", "--force-recreate", "proxy")
    composition.compose(*replace, secrets=secrets_folder)
    try:
        address = f"https://localhost:{composition.ports['TLS_PORT']}/api/v1/jobs"
        asked = ["curl", "--silent", "--cacert", str(certificate), "--include", address]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        plain = visitor.get("/api/v1/jobs?state=failed")
    finally:
        composition.compose(*replace)

    head, _, body = answer.partition("\n\n")
    assert "strict-transport-security: max-age=31536000" in head.lower()
    assert json.loads(body)["code"] == "not_authenticated"
    assert plain.status_code == 308
    assert plain.headers["Location"].endswith("/api/v1/jobs?state=failed")
