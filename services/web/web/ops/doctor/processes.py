"""Web's own processes, by their connections to the database."""

from collections.abc import Iterator

from django.db import connection

from web.ops.doctor.finding import Finding, problem, start, well

# Commands of manage.py, which puts them into the names of its connections.
PROCESSES = {"relay": "relay", "collect": "collector", "reconcile": "reconciler"}
WITHOUT = {
    "relay": "nothing leaves the outbox",
    "collector": "results and dead letters wait in the broker",
    "reconciler": "what gets lost with the broker stays lost, and missing queues missing",
}
# A process may have several connections, of one name.
CONNECTED = """
    SELECT split_part(application_name, ' ', 2), count(DISTINCT application_name)
    FROM pg_stat_activity
    WHERE usename = current_user AND datname = current_database()
        AND application_name LIKE 'warren %'
    GROUP BY 1
"""


def look_at_processes() -> Iterator[Finding]:
    """Count the processes of each kind; one that is frozen counts too."""
    with connection.cursor() as cursor:
        cursor.execute(CONNECTED)
        connected = dict(cursor.fetchall())
    missing = [name for command, name in PROCESSES.items() if command not in connected]
    for name in missing:
        yield problem(f"there is no {name}: {WITHOUT[name]}", start(name))
    if not missing:
        counts = (f"{name} {connected[command]}" for command, name in PROCESSES.items())
        yield well(f"connected to the database: {', '.join(counts)}")
