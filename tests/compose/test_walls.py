"""What a container may do, see and reach when it is not on our side any more."""

import socket
import threading

import pytest

from contracts import topology

from .client import User
from .composition import Composition

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
SERVICES = (
    *("collector", "flower", "mailpit", "postgres", "proxy", "rabbitmq", "reconciler", "relay"),
    *("web", *topology.SERVICES),
)
WITHOUT_DJANGO = sorted({*topology.SERVICES} - {"tasks"})  # which have images of their own
SECRETS = {
    **{service: {"broker_url"} for service in topology.SERVICES},
    "collector": {"broker_url", "database_url"},
    "flower": {"broker_url", "flower_basic_auth", "rabbitmq_management_url"},
    "mailer": {"broker_url", "dkim_key", "ledger_url", "smtp_url"},
    "postgres": {"postgres_password", "postgres_warren_password", "postgres_mailer_password"},
    "proxy": {"flower_basic_auth", "tls_certificate", "tls_key"},
    "rabbitmq": {"rabbitmq_definitions.json"},
    "reconciler": {"broker_url", "database_url"},
    "relay": {"broker_url", "database_url"},
    "tasks": {"broker_url", "database_url", "django_secret_key"},
    "web": {"database_url", "django_secret_key", "jwt_signing_key"},
}
BROKER = """
from amqp.exceptions import AccessRefused
from kombu import Connection

def refused(action):
    with Connection(open("/run/secrets/broker_url").read()) as connection:
        try:
            action(connection.default_channel)
        except AccessRefused as error:
            return "ACCESS_REFUSED" in str(error)
    return False

def publish(exchange, key):
    def action(channel):
        channel.confirm_select()
        channel.basic_publish_confirm(__import__("amqp").Message("{}"), exchange, key)
    return action

def consume(queue):
    return lambda channel: channel.basic_consume(queue)

"""
CONNECT = ": > /dev/tcp/{host}/{port}"


def test_the_list_of_services_is_complete(composition: Composition) -> None:
    assert {*SERVICES, "migrate"} == set(composition.services())


@pytest.mark.parametrize("service", SERVICES)
def test_containers_run_without_privileges(composition: Composition, service: str) -> None:
    for container in composition.containers(service):
        found = composition.inspect(container)
        host = found["HostConfig"]

        assert found["Config"]["User"] not in ("", "0", "root")
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["Memory"] > 0
        assert host["NanoCpus"] > 0
        assert 0 < host["PidsLimit"] <= 512
        assert host["LogConfig"]["Config"] == {"max-file": "5", "max-size": "10m"}


@pytest.mark.parametrize("service", sorted({*SERVICES} - {"mailpit"}))
def test_processes_are_nobodys_and_write_nowhere(composition: Composition, service: str) -> None:
    status = composition.run_in(service, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    write = composition.try_compose("exec", "-T", service, "sh", "-c", ": > /usr/bin/planted")

    assert "0" not in fields["Uid"].split()
    assert int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert write.returncode != 0
    assert "Read-only file system" in write.stderr or "Permission denied" in write.stderr


@pytest.mark.parametrize("service", sorted(SECRETS))
def test_each_container_has_its_own_secrets_alone(composition: Composition, service: str) -> None:
    assert set(composition.run_in(service, "ls", "/run/secrets").split()) == SECRETS[service]


def test_our_images_say_what_they_are(composition: Composition) -> None:
    for name in ("web", *WITHOUT_DJANGO, "flower"):
        labels = composition.inspect(f"{composition.project}-{name}")["Config"]["Labels"]
        assert labels["org.opencontainers.image.title"] == f"warren-{name}"
        assert labels["org.opencontainers.image.version"]


def test_the_mailer_adds_little_to_the_image_that_it_stands_on(composition: Composition) -> None:
    base = "python:3.11-slim"
    if not composition.docker("images", "--quiet", base):
        composition.docker("pull", "--quiet", base)  # a build alone does not leave it there
    sizes = [composition.inspect(f"{composition.project}-mailer")["Size"],
             composition.inspect(base)["Size"]]  # fmt: skip
    assert sizes[0] - sizes[1] < 60_000_000  # bytes


def test_the_workers_have_no_django_and_no_compiler(composition: Composition) -> None:
    look = "import importlib.util as u, shutil; print(u.find_spec('django'), shutil.which('gcc'))"
    for service in (*WITHOUT_DJANGO, "flower"):
        assert composition.python_in(service, look) == "None None"


def test_the_mailers_credentials_take_and_give_no_task(composition: Composition) -> None:
    checks = """
print(refused(consume("compute")), refused(publish("warren.tasks", "compute.run")),
      refused(publish("", "compute")), refused(consume("web.results")),
      refused(publish("warren.results.compute", "compute.run.success")),
      refused(publish("celery.pidbox", "")), refused(consume("mailer")))
"""
    assert composition.python_in("mailer", BROKER + checks).split() == ["True"] * 6 + ["False"]


def test_a_wall_stands_after_its_exchange_was_deleted_and_declared_again(
    composition: Composition,
) -> None:
    delete = """
from contracts import topology
with Connection(open("/run/secrets/broker_url").read()) as connection:
    connection.default_channel.exchange_delete("warren.results.compute")
    topology.restore(connection)
"""
    composition.python_in("reconciler", BROKER + delete)
    checks = """
print(refused(publish("warren.results.compute", "compute.run.success")),
      refused(publish("warren.results.compute", "mailer.send_email.success")),
      refused(publish("warren.results.mailer", "mailer.test")))
"""
    assert composition.python_in("mailer", BROKER + checks).split() == ["True", "True", "False"]


def test_flowers_credentials_take_nothing(composition: Composition) -> None:
    checks = """
print(*(refused(consume(q)) for q in ("mailer", "compute", "web.results", "web.dead")),
      refused(publish("warren.tasks", "compute.run")))
"""
    assert composition.python_in("flower", BROKER + checks).split() == ["True"] * 5


def test_the_relay_reads_nothing_and_the_collector_writes_nothing(
    composition: Composition,
) -> None:
    reads = 'print(*(refused(consume(q)) for q in ("mailer", "compute", "web.results")))'
    writes = """
print(*(refused(publish(e, "compute.run")) for e in ("warren.tasks", "warren.results.compute", "")))
"""
    assert composition.python_in("relay", BROKER + reads).split() == ["True"] * 3
    assert composition.python_in("collector", BROKER + writes).split() == ["True"] * 3


def test_the_mailers_role_cannot_enter_webs_database(composition: Composition) -> None:
    program = """
import psycopg
url = open("/run/secrets/ledger_url").read()
psycopg.connect(url).close()
try:
    psycopg.connect(url, dbname="warren")
except psycopg.OperationalError as error:
    print("permission denied" in str(error))
"""
    assert composition.python_in("mailer", program) == "True"


def test_only_the_mailer_and_the_proxy_have_a_way_out(composition: Composition) -> None:
    """Where out is this machine's end of the mailer's network, on which a server listens."""
    gateway = composition.inspect(f"{composition.project}_outbound")["IPAM"]["Config"][0]["Gateway"]
    with socket.create_server((gateway, 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=_accept, args=(server,), daemon=True).start()
        reach = {
            service
            for service in sorted({*SERVICES} - {"mailpit"})
            if _connects(composition, service, gateway, port)
        }
        server.shutdown(socket.SHUT_RDWR)
    internal = {
        service
        for service in SERVICES
        if all(
            composition.inspect(network)["Internal"]
            for container in composition.containers(service)
            for network in composition.inspect(container)["NetworkSettings"]["Networks"]
        )
    }

    assert reach == {"mailer", "proxy"}
    assert internal == {*SERVICES} - {"mailer", "proxy"}


def test_the_proxy_does_not_reach_what_it_has_no_business_with(composition: Composition) -> None:
    assert _connects(composition, "proxy", "web", 8000)
    assert not _connects(composition, "proxy", "postgres", 5432)
    assert not _connects(composition, "proxy", "mailer", 1025)


def test_no_log_shows_a_password(composition: Composition, user: User) -> None:
    logs = composition.compose("logs", "--no-color")
    planted = {
        path.name: path.read_text()
        for path in composition.secrets.iterdir()
        if path.name.endswith(("_password", "_key")) and path.name not in {"dkim_key", "tls_key"}
    }

    assert "request answered" in logs
    assert len(planted) >= 12
    assert not [name for name, secret in planted.items() if secret in logs]
    assert user.account["password"] not in logs


def _connects(composition: Composition, service: str, host: str, port: int) -> bool:
    script = CONNECT.format(host=host, port=port)
    command = ("exec", "-T", service, "timeout", "3", "bash", "-c", script)
    return composition.try_compose(*command).returncode == 0


def _accept(server: socket.socket) -> None:
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        return  # the server was closed
