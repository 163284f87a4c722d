"""docker-compose.yml, really run: one command from a clone to everything that works."""

from collections.abc import Iterator

import httpx
import pytest

from .client import User, wait_for
from .composition import Composition, missing_daemon

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
OUR_OWN = {"web", "relay", "collector", "mailer", "compute", "flower"}
KILL_EVERYTHING = "import os, signal; os.kill(-1, signal.SIGKILL)"


@pytest.fixture(scope="module")
def composition() -> Iterator[Composition]:
    """Build and start everything; afterwards remove it and look whether anything is left."""
    if reason := missing_daemon():
        pytest.skip(f"needs a Docker daemon and Compose: {reason}")
    project = Composition()
    try:
        project.compose("up", "--build", "--wait", "--wait-timeout", "300")
        yield project
    finally:
        project.down()
    assert project.remains() == []


@pytest.fixture(scope="module")
def user(composition: Composition) -> Iterator[User]:
    """A user whose address is verified."""
    ada = User(composition)
    ada.sign_up()
    yield ada
    ada.close()


def test_a_new_user_gets_both_mails_and_sees_that_they_were_sent(user: User) -> None:
    wait_for("the welcome mail", lambda: user.mail("welcome"))

    def all_sent() -> list[str] | None:
        mails = user.get("mails")["results"]
        return [m["template"] for m in mails] if all(m["state"] == "sent" for m in mails) else None

    assert sorted(wait_for("the receipts", all_sent)) == ["verify_email", "welcome"]


def test_a_computation_comes_back_with_its_result(user: User) -> None:
    offered = {computation["name"] for computation in user.get("computations")["results"]}
    job = user.result(user.submit("add", x=4, y=6))

    assert {"add", "multiply", "count_primes", "describe"} <= offered
    assert (job["state"], job["result"], job["attempts"]) == ("succeeded", 10, 1)


def test_three_compute_workers_share_the_work(composition: Composition, user: User) -> None:
    composition.compose("up", "--wait", "--no-recreate", "--scale", "compute=3")
    seen: set[str] = set()

    def all_three() -> set[str] | None:
        jobs = [user.submit("count_primes", limit=20_000_000) for _ in range(12)]
        seen.update(user.result(job)["worker"] for job in jobs)
        return seen if len(seen) >= 3 else None

    wait_for("jobs by three workers", all_three)
    hosts = {worker.partition("@")[2] for worker in seen}
    assert hosts == {id_[:12] for id_ in composition.containers("compute")}


def test_a_killed_worker_comes_back_and_its_job_with_it(
    composition: Composition, user: User
) -> None:
    composition.compose("up", "--wait", "--no-recreate", "--scale", "compute=1")
    (worker,) = composition.containers("compute")
    job_id = user.submit("count_primes", limit=4_000_000_000)
    wait_for("the job to run", lambda: user.get(f"jobs/{job_id}")["state"] == "running" or None)
    # Not by `docker kill`, after which a container stays down as if it had been stopped on purpose.
    composition.docker("exec", "--detach", worker, "python", "-c", KILL_EVERYTHING)

    job = user.result(job_id)

    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    assert composition.inspect(worker)["RestartCount"] == 1


def test_ports_are_published_on_loopback_only(composition: Composition) -> None:
    found = {
        (binding["HostIp"], int(binding["HostPort"]))
        for container in composition.compose("ps", "--quiet").split()
        for bindings in composition.inspect(container)["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }

    assert found == {("127.0.0.1", port) for port in composition.ports.values()}


@pytest.mark.parametrize("service", sorted(OUR_OWN))
def test_our_containers_run_without_privileges(composition: Composition, service: str) -> None:
    for container in composition.containers(service):
        status = composition.docker("exec", container, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

        assert set(fields["Uid"].split()) == {"10001"}
        assert int(fields["CapBnd"], 16) == 0
        assert fields["NoNewPrivs"] == "1"
        assert composition.inspect(container)["HostConfig"]["ReadonlyRootfs"]


def test_flower_and_rabbitmq_show_nothing_without_the_password(composition: Composition) -> None:
    flower = f"http://127.0.0.1:{composition.ports['FLOWER_PORT']}/api/tasks"
    rabbitmq = f"http://127.0.0.1:{composition.ports['RABBITMQ_MANAGEMENT_PORT']}/api/overview"
    read = ("exec", "-T", "flower", "cat", "/run/secrets/flower_password")
    password = composition.compose(*read)

    for address in (flower, rabbitmq):
        for credentials in (None, ("guest", "guest"), ("warren", "warren")):
            assert httpx.get(address, auth=credentials, trust_env=False).status_code == 401
    assert httpx.get(flower, auth=("warren", password), trust_env=False).status_code == 200


def test_no_log_shows_a_password(composition: Composition, user: User) -> None:
    logs = composition.compose("logs", "--no-color")
    names = composition.compose("exec", "-T", "web", "ls", "/run/secrets").split()
    secrets = [
        composition.compose("exec", "-T", "web", "cat", f"/run/secrets/{name}")
        for name in names
        if name.endswith(("_password", "_key"))
    ]

    assert "job submitted" in logs or "request answered" in logs
    assert len(secrets) >= 5
    assert not [secret for secret in (*secrets, user.account["password"]) if secret in logs]
