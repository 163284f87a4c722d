"""Web's own processes, by their connections to the database and by the records of their lives."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from django.db import connection
from django.db.models import F

from contracts import topology
from web.messaging.processes.lives import SEEN, alive, ended
from web.ops.doctor.finding import Finding, problem, start, well

# Commands with their processes. manage.py puts the command into the name of its connections.
PROCESSES = {"relay": "relay", "collect": "collector", "reconcile": "reconciler"}
WITHOUT = {
    "relay": "nothing leaves the outbox",
    "collector": "results and dead letters wait in the broker",
    "reconciler": "what gets lost with the broker stays lost, and missing queues missing",
}
# A process that starts again and again has several short lives behind it.
LATELY, SHORT, OFTEN = timedelta(minutes=10), timedelta(minutes=5), 3
# A process may have several connections with the same name.
CONNECTED = """
    SELECT split_part(application_name, ' ', 2), split_part(application_name, ' ', 3),
        min(backend_start) < statement_timestamp() - make_interval(secs => %s)
    FROM pg_stat_activity
    WHERE usename = current_user AND datname = current_database()
        AND application_name LIKE 'warren %%'
    GROUP BY 1, 2
"""


def look_at_processes() -> Iterator[Finding]:
    """Count the processes of each kind, and find processes that hang or keep dying."""
    connected = _connected()
    troubles = [*_missing(connected), *_stuck(connected), *_dying()]
    yield from troubles
    if not troubles:
        counts = (f"{name} {len(connected[command])}" for command, name in PROCESSES.items())
        yield well(f"connected to the database: {', '.join(counts)}")


def _connected() -> dict[str, dict[str, bool]]:
    """Map each command to its processes, and each process to whether it has run for a while."""
    found: dict[str, dict[str, bool]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(CONNECTED, [SEEN.total_seconds()])
        for command, node, settled in cursor.fetchall():
            found[command][node] = settled
    return found


def _missing(connected: dict[str, dict[str, bool]]) -> Iterator[Finding]:
    for command, name in PROCESSES.items():
        if command not in connected:
            yield problem(f"there is no {name}: {WITHOUT[name]}", start(name))


def _stuck(connected: dict[str, dict[str, bool]]) -> Iterator[Finding]:
    for command, name in PROCESSES.items():
        getting_on = list(alive(name).values_list("node", flat=True))
        for node, settled in connected.get(command, {}).items():
            # PostgreSQL cuts the names of connections off at 63 bytes.
            if settled and not any(each.startswith(node) for each in getting_on):
                yield problem(
                    f"{name} {node} does not get on: no round of it has ended for "
                    f"{SEEN.total_seconds():.0f} s; meanwhile {WITHOUT[name]}",
                    "if `broker` and `queues` are well, it hangs: its log says with what; "
                    f"`docker compose restart {name}`, or `make restart {name}`",
                )


def _dying() -> Iterator[Finding]:
    for process in (*PROCESSES.values(), *topology.SERVICES):
        lives = ended(process, LATELY).filter(seen_at__lt=F("first_seen_at") + SHORT)
        errors = list(lives.values_list("error", flat=True))
        if len(errors) >= OFTEN:
            last = next((f", the last time of {error}" for error in errors if error), "")
            yield problem(
                f"{process} keeps dying: {len(errors)} times within "
                f"{LATELY.total_seconds() / 60:.0f} minutes{last}",
                f"its log says why: `docker compose logs --tail 50 {process}`, "
                f"or `make logs {process}`; it is started again by itself",
            )
