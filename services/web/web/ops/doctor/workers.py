"""The workers, as their reports show them."""

from collections.abc import Iterator

from contracts import topology
from web.messaging.inbox.workers import SEEN, alive
from web.messaging.models import Worker
from web.ops.doctor.database import CLOCK_SECONDS
from web.ops.doctor.finding import Finding, problem, start, well

MEND = {
    "smtp": "compare SMTP_URL with the mail server, and see whether that runs; mails are tried "
    "again by themselves",
}


def look_at_workers() -> Iterator[Finding]:
    """Find services without a worker, and workers with a wrong clock or a failed check."""
    for service in topology.SERVICES:
        workers = list(alive(service))
        troubles = [trouble for worker in workers for trouble in _troubles(worker)]
        yield from troubles
        if not workers:
            yield problem(
                f"no worker of {service} has reported for {SEEN.total_seconds():.0f} s: none is "
                "connected, or the collector takes no reports (see `queues`)",
                start(service),
            )
        elif not troubles:
            tasks = sum(len(worker.holding) for worker in workers)
            yield well(f"{service}: {len(workers)} at work, with {tasks} tasks in hand")


def _troubles(worker: Worker) -> Iterator[Finding]:
    if abs(worker.clock_offset) > CLOCK_SECONDS:
        side = "before" if worker.clock_offset > 0 else "behind"
        yield problem(
            f"{worker}: its clock is {abs(worker.clock_offset):.0f} s {side} the database's",
            "synchronize both by NTP; times of its jobs are wrong until then",
        )
    for needed, wrong in worker.checks.items():
        if wrong:
            yield problem(f"{worker}: {needed}: {wrong}", MEND.get(needed, "see its log"))
