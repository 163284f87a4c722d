"""What is measured: Warren, and the same small service on other queues."""

import os
import secrets
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg

from local.ports import free_ports
from tests.support.api import Account, connect
from tests.support.polling import poll
from tests.support.process import CHECKOUT, Process
from tests.support.stack import Stack, says

from .servers import Servers
from .usage import Parts

PEERS = CHECKOUT / "tests/bench/peers"
PROGRAMS = CHECKOUT / ".local/bench-venv/bin"
# Times as in production, for the suite's short ones would only cost processor time.
SETTINGS = {
    "REPORT_INTERVAL": "5",
    "RECONCILE_INTERVAL": "5",
    "RECONCILE_AFTER": "12",
    "OUTBOX_LEASE": "20",
    "MAIL_RETRY_FIRST": "15",
    "MAIL_RETRY_LONGEST": "15",
    "SHUTDOWN_TIMEOUT": "10",
    "JOBS_UNFINISHED_PER_USER": "1000000",  # so that the limit is counted, but never reached
    "JOBS_UNFINISHED": "1000000",
    "THROTTLE_REGISTRATION": "1000000/1h",
    "PYTHONPATH": str(CHECKOUT / "tests/extra"),
    "EXTRA_APPS": "staged_shop",
}
WORKERS, THREADS = 2, 32  # of gunicorn, as Warren has them
CONCURRENCY = 2  # tasks at a time
USERS = 8  # of Warren


class System(Protocol):
    """One service that takes jobs by HTTP and has them done in the background."""

    path: str
    body: bytes

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def port(self) -> int:
        """Where its API listens on 127.0.0.1."""

    @property
    def headers(self) -> list[dict[str, str]]:
        """Of submissions, in turn."""

    def done(self) -> int:
        """How many jobs have ended well."""

    def parts(self) -> Parts:
        """Its processes, and those of the servers."""

    def hold(self) -> None:
        """Let jobs wait: nothing takes them any more."""

    def go_on(self) -> None:
        """Let them be done."""

    def wait_for(self, http: httpx.Client, job_id: str) -> None:
        """Ask until a job has ended."""


@dataclass
class Warren:
    """All of Warren's processes, with users who have signed in."""

    stack: Stack
    accounts: list[Account]
    servers: Servers
    name: str = "Warren"
    path: str = "/api/v1/jobs"
    body: bytes = b'{"computation": "add", "arguments": {"x": 4, "y": 6}}'
    count: str = "SELECT count(*) FROM jobs_job WHERE state = 'succeeded'"
    more_relays: list[Process] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.stack.settings.ports["WEB_PORT"]

    @property
    def headers(self) -> list[dict[str, str]]:
        tokens = (account.http.headers["Authorization"] for account in self.accounts)
        return [{"Content-Type": "application/json", "Authorization": token} for token in tokens]

    def done(self) -> int:
        return _count(self.servers.settings.database.url("warren"), self.count)

    def parts(self) -> Parts:
        processes = (*self.stack.plain, self.stack.flower)
        own = {process.name: partial(getattr, process, "pids") for process in processes}
        return own | self.servers.parts()

    def hold(self) -> None:
        for relay in (self.stack.relay, *self.more_relays):
            relay.stop()

    def go_on(self) -> None:
        for relay in (self.stack.relay, *self.more_relays):
            relay.start()

    def wait_for(self, http: httpx.Client, job_id: str) -> None:
        answer = http.get(f"{self.path}/{job_id}", params={"wait": 20})
        assert answer.json()["state"] == "succeeded", answer.text


@dataclass
class WarrenTasks(Warren):
    """Warren, of which a task of Django's is measured instead of a computation."""

    name: str = "Warren: .delay() of a Django task"
    path: str = "/api/v1/sums/task"
    body: bytes = b'{"x": 4, "y": 6}'
    count: str = "SELECT count(*) FROM tasks_task WHERE state = 'succeeded'"

    def wait_for(self, http: httpx.Client, job_id: str) -> None:
        state = "SELECT FROM tasks_task WHERE id = %s AND state = 'succeeded'"
        poll(lambda: self.stack.rows(state, job_id), what="answer", meanwhile=_moment)


@contextmanager
def running_warren(servers: Servers, directory: Path, **changes: str) -> Iterator[Warren]:
    """Run Warren; ``changes`` are to its settings."""
    stack = Stack(
        servers.settings,
        servers.broker,
        servers.database,
        directory,
        lambda _, environment: environment | SETTINGS | changes,
    )
    with ExitStack() as ending:
        ending.callback(stack.stop)
        stack.start()
        stack.flower.start()
        accounts = []
        for _ in range(USERS):  # what one of them has queued is counted with each submission
            http = ending.enter_context(connect(stack.settings.web_url))
            accounts.append(Account.register(http))
            accounts[-1].move_in(stack.smtp)
        yield Warren(stack, accounts, servers)


@dataclass(frozen=True)
class Queue:
    """How a peer's worker starts, and how to count what it has done."""

    name: str
    title: str
    worker: str
    ready: str  # what its log says then
    count: str


QUEUES = (
    Queue(
        "celery",
        "(a) Celery, as its tutorial has it",
        f"celery -A peer worker --concurrency={CONCURRENCY} --loglevel=info",
        " ready.",
        "SELECT count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'",
    ),
    Queue(
        "celery_safe",
        "(b) Celery, made safe",
        f"celery -A peer worker --concurrency={CONCURRENCY} --loglevel=info",
        " ready.",
        "SELECT count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'",
    ),
    Queue(
        "procrastinate",
        "(c) procrastinate",
        f"python manage.py procrastinate worker --concurrency={CONCURRENCY}",
        "Launching a worker",
        "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
    ),
    Queue(
        "django_tasks",
        "(d) django-tasks, database",
        " & ".join(["python manage.py db_worker --interval=0.01"] * CONCURRENCY) + "; wait",
        "Starting worker",
        "SELECT count(*) FROM django_tasks_database_dbtaskresult WHERE status = 'SUCCESSFUL'",
    ),
    Queue(
        "dramatiq",
        "(e) dramatiq",
        f"dramatiq peer.systems.dramatiq --processes={CONCURRENCY} --threads=1",
        "Worker process is ready for action",
        "SELECT count(*) FROM peer_answer",
    ),
)


@dataclass
class Peer:
    """The same small service on another queue."""

    queue: Queue
    servers: Servers
    database_url: str
    web: Process
    worker: Process
    port: int
    environment: dict[str, str]
    headers: list[dict[str, str]]
    path: str = "/jobs"
    body: bytes = b'{"x": 4, "y": 6}'

    @property
    def name(self) -> str:
        return self.queue.title + ("" if "Authorization" in self.headers[0] else ", without tokens")

    def done(self) -> int:
        return _count(self.database_url, self.queue.count)

    def parts(self) -> Parts:
        return {
            "web": lambda: self.web.pids,
            "worker": lambda: self.worker.pids,
            **self.servers.parts(),
        }

    def hold(self) -> None:
        self.worker.stop()

    def go_on(self) -> None:
        self.worker.start()

    def wait_for(self, http: httpx.Client, job_id: str) -> None:
        poll(
            lambda: http.get(f"{self.path}/{job_id}").json()["state"] == "succeeded",
            what="answer",
            meanwhile=_moment,
        )


@contextmanager
def running_peer(
    queue: Queue, servers: Servers, directory: Path, *, tokens: bool
) -> Iterator[Peer]:
    """Run a peer on a database and a virtual host of its own."""
    number = secrets.token_hex(3)
    [port] = free_ports(1)
    database_url = servers.database.create_database(f"peer_{number}", "warren")
    environment = {
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "peer.settings",
        "PEER": queue.name,
        "SECRET_KEY": secrets.token_urlsafe(40),
        "DATABASE_URL": database_url,
        "BROKER_URL": servers.broker.create_vhost(f"peer-{number}"),
        "SMTP_PORT": str(servers.settings.ports["SMTP_PORT"]),
        **({"WITH_TOKENS": "1"} if tokens else {}),
    }
    _manage(environment, "migrate", "--run-syncdb", "--verbosity=0")
    token = _manage(environment, "token").strip()
    url = f"http://127.0.0.1:{port}"
    gunicorn = (
        f"gunicorn peer.wsgi --bind=127.0.0.1:{port} --workers={WORKERS} --threads={THREADS} "
        "--worker-class=gthread --keep-alive=75 --preload --no-control-socket"
    )
    into = f"cd {shlex.quote(str(PEERS))} && "
    web = Process(
        f"{queue.name}-{number}-web",
        f"{into}exec {gunicorn}",
        environment | {"IN_WEB": "1"},
        directory,
        lambda _: _answers(f"{url}/jobs"),
    )
    worker = Process(
        f"{queue.name}-{number}-worker",
        into + ("" if "&" in queue.worker else "exec ") + queue.worker,
        environment,
        directory,
        says(queue.ready),
    )
    headers = {"Content-Type": "application/json"}
    if tokens:
        headers["Authorization"] = f"Bearer {token}"
    with ExitStack() as ending:
        ending.callback(servers.database.drop_database, f"peer_{number}")
        ending.callback(servers.broker.delete_vhost, f"peer-{number}")
        for process in (web, worker):
            ending.callback(process.stop)
            process.start()
        yield Peer(queue, servers, database_url, web, worker, port, environment, [headers])


@cache
def _connected(database_url: str) -> psycopg.Connection[Any]:
    """Connect once: PostgreSQL starts a process for each connection, which would count, too."""
    return psycopg.connect(database_url, autocommit=True)


def _count(database_url: str, query: str) -> int:
    row = _connected(database_url).execute(query).fetchone()
    return int(row[0]) if row else 0


def _manage(environment: dict[str, str], *command: str) -> str:
    return subprocess.run(
        ["python", "manage.py", *command],
        cwd=PEERS,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code < 500
    except httpx.TransportError:
        return False


def _moment() -> None:
    time.sleep(0.002)
