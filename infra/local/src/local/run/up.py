"""`make up`: starts all of Warren in order, watches it, and stops it in order."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from types import FrameType
from typing import TextIO

import httpx

from local.run.console import Console
from local.run.requests import Requests
from local.run.run_lock import RunLock
from local.run.stack import Stack
from local.run.supervisor import Supervisor, read_procfile
from local.servers.apt import Report
from local.servers.keeper import Keeper
from local.settings import Settings


class Run:
    """The servers and processes of one run."""

    def __init__(self, supervisor: Supervisor, keepers: Sequence[Keeper], console: Console) -> None:
        self.supervisor = supervisor
        self.console = console
        self._keepers = keepers

    def tick(self) -> bool:
        """Look after all of them once; False if they shall stop. Raises ProcessDiedError."""
        for keeper in self._keepers:
            keeper.look()
        return self.supervisor.tick()


@contextmanager
def running(settings: Settings, report: Report, terminal: TextIO | None) -> Iterator[Run]:
    """Run the servers and the Procfile's processes; in the end stop first the processes.

    Without a `terminal` the processes' lines only go to their files. Raises LocalError, and touches
    nothing, if another run holds the lock.
    """
    requests = Requests(settings.local)
    with RunLock(settings.local).held():
        requests.clear()  # requests to a run that was killed
        stack = Stack(settings, report)
        with stack.running(), closing(Console(settings.logs, terminal)) as console:
            report("starting the processes of the Procfile")
            supervisor = Supervisor(
                read_procfile(settings.root / "Procfile"),
                stack.environment,
                settings.root,
                console,
                requests.state,
            )
            try:
                supervisor.start()
                yield Run(supervisor, stack.keepers(console.say), console)
            finally:
                report("stopping the processes")
                supervisor.stop()
                requests.clear()


def stay_up(settings: Settings, report: Report) -> None:
    """Run until Ctrl-C or `make down`. A process that dies is started again.

    Raises ProcessDiedError if a process cannot be started.
    """
    with running(settings, report, sys.stdout) as run:

        def stop(number: int, frame: FrameType | None) -> None:
            run.supervisor.ask_to_stop()

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        announcement = threading.Thread(target=_announce, args=(settings, run.console), daemon=True)
        announcement.start()
        requests = Requests(settings.local)
        while run.tick():
            requests.serve(run.supervisor)
        run.console.say("stopping; once more Ctrl-C does not wait for what is running")


def is_ready(settings: Settings) -> bool:
    """Whether `/readyz` says that the API can serve requests."""
    try:
        return httpx.get(f"{settings.web_url}/readyz", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _announce(settings: Settings, console: Console) -> None:
    pause = threading.Event()
    while not is_ready(settings):
        pause.wait(0.2)
    rabbitmq = f"http://127.0.0.1:{settings.ports['RABBITMQ_MANAGEMENT_PORT']}"
    flower_user, rabbitmq_user = settings.variables["FLOWER_USER"], settings.broker.user
    for line in (
        "",
        "Warren is up.",
        f"  API               {settings.web_url}/api/v1/",
        f"  API documentation {settings.web_url}/api/docs/",
        f"  Admin             {settings.web_url}/admin/  `make admin` makes an account for it",
        f"  Flower            {settings.flower_url}/  user {flower_user}, FLOWER_PASSWORD in .env",
        f"  RabbitMQ          {rabbitmq}/  user {rabbitmq_user}, RABBITMQ_PASSWORD in .env",
        f"  Mails             {settings.mails}/new",
        f"  Logs              {settings.logs}",
        "Ctrl-C or `make down` stops it; `make scale compute=3` adds workers.",
        "",
    ):
        console.say(line)
