"""One trial: load, a fault in the middle of it, and the count when all is quiet."""

import time
from collections.abc import Sequence
from itertools import count

import httpx

from tests.support.api import Account as User
from tests.support.api import connect
from tests.support.polling import poll
from tests.support.privileges import excesses

from .catalogue import Fault
from .load import Credentials, Load
from .stage import Stage
from .verdict import Outcome, Trial, Verdict, judge

CLIENTS = 8
RATE = 2.0  # requests of each client in a second
LEAD_IN, SHORTER = 4.0, 2.0  # seconds of load before the fault, and after it
QUIET = 120.0  # seconds after which what is not done counts as lost
CONSUMERS = {
    "mailer": "mailer",
    "compute": "compute",
    "web.tasks": "tasks",
    "web.results": "collector",
    "web.dead": "collector",
}
_numbers = count(1)


def users(stage: Stage, number: int = CLIENTS) -> list[Credentials]:
    """Register as many users as there are clients, and verify their addresses."""
    made = []
    for _ in range(number):
        with connect(stage.stack.settings.web_url) as http:
            user = User.register(http)
            user.move_in(stage.stack.smtp)
            made.append(Credentials(user.email, user.password))
    return made


def run(stage: Stage, fault: Fault, clients: Sequence[Credentials]) -> Verdict:
    """Make a fault happen under load, and count what became of all that was promised."""
    stage.problems.clear()
    stage.exits = 0
    folder = stage.directory / f"gates-{next(_numbers)}"
    folder.mkdir()
    load = Load(stage.stack.settings.web_url, clients, folder, RATE)
    load.start()
    try:
        stage.lasting(LEAD_IN, SHORTER)
        begin = time.time()
        _act(stage, fault)
        end = time.time()
        stage.lasting(LEAD_IN, SHORTER)
    finally:
        load.stop()
    stage.until(lambda: load.ended, "an answer to every request", 2 * QUIET)
    stage.until(lambda: not Outcome(load.account, stage.stack).pending, "quiet", QUIET)
    stage.until(lambda: _all_listen(stage), "each worker listening to its queue", 30)
    if fault.deletes:
        stage.problems += excesses(stage.stack.broker_urls)
    trial = Trial(f"{fault.group}: {fault.name}", begin, end, fault.may_refuse)
    outcome = Outcome(load.account, stage.stack)
    verdict = judge(trial, load.account, outcome, exits=stage.exits, problems=stage.problems)
    _mend(stage, verdict)
    return verdict


def _act(stage: Stage, fault: Fault) -> None:
    try:
        fault.act(stage)
    except Exception as error:  # noqa: BLE001 -- the suite goes on, and the table tells
        stage.problems.append(f"{type(error).__name__}: {error}")


def _all_listen(stage: Stage) -> bool:
    """Whether each worker that runs consumes its queue; one that does not is deaf."""
    try:
        queues = stage.management.queues()
    except httpx.HTTPError:
        return False
    kinds = [process.name.partition("-")[0] for process in stage.processes]
    return all(
        queue in queues and queues[queue].consumers == kinds.count(kind)
        for queue, kind in CONSUMERS.items()
    )


def _mend(stage: Stage, verdict: Verdict) -> None:
    """Give the next fault a fair start, whatever this one has left."""
    stage.network.heal()
    stage.stack.smtp.calm()
    stage.stack.heal()
    if not verdict.holds:
        stage.stack.manage("declare_topology", check=True)
        for process in stage.processes:
            process.stop()
        stage.stack.heal()
    poll(
        lambda: stage.stack.rows("SELECT id FROM messaging_outboxmessage WHERE due_at < now()"),
        lambda rows: not rows,
        what="empty outbox",
    )
