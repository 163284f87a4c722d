"""What is measured of Warren alone."""

from itertools import cycle, islice
from statistics import quantiles
from typing import Any

from tests.support.http_load import request, send
from tests.support.polling import poll
from tests.support.smtp_faults import slow

from . import measures
from .systems import Warren

SLOW_MAIL_SERVER = slow(2.0)
COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = 'jobs_job'"
OWN = {"id", "created_at", "state", "finished_at", "idempotency_key"}  # what is not copied
IN_BULK = 500  # jobs of one request
ROWS = 1_000_000
WAITING = 100_000
# Copies of a job that has ended, as if it had been asked for again and again for a month.
MILLION = """
    INSERT INTO jobs_job ({columns}, id, created_at, state, finished_at)
    SELECT {columns}, gen_random_uuid(), now() - number * interval '2.5 seconds', state, now()
    FROM (SELECT * FROM jobs_job WHERE state = 'succeeded' LIMIT 1) AS one,
        generate_series(1, {rows}) AS number
"""
QUEUE = """
    WITH waiting AS (
        INSERT INTO jobs_job ({columns}, id, created_at, state)
        SELECT {columns}, gen_random_uuid(), now(), 'queued'
        FROM (SELECT * FROM jobs_job WHERE state = 'succeeded' LIMIT 1) AS one,
            generate_series(1, {rows})
        RETURNING id
    )
    INSERT INTO messaging_outboxmessage (
        task_id, exchange, routing_key, headers, properties, body, mandatory, due_at, refusals,
        last_refusal
    )
    SELECT id, 'warren.tasks', 'compute.run', '{{}}', '{{}}', '', true, now() + interval '1 day', 0,
        ''
    FROM waiting
"""


def bulk(warren: Warren, jobs: int) -> float:
    """Jobs accepted in a second while each request submits many; then they are done."""
    finish = warren.done() + jobs
    body = b'{"jobs": [' + b", ".join([warren.body] * IN_BULK) + b"]}"
    requests = [
        request("POST", f"{warren.path}/batch", warren.port, body, headers)
        for headers in warren.headers
    ]
    warren.hold()
    answered = send(warren.port, islice(cycle(requests), jobs // IN_BULK), measures.CONCURRENCY)
    measures.accepted(answered)
    warren.go_on()
    measures.await_done(warren, finish)
    return IN_BULK * answered.rate


def registrations(warren: Warren, count: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a registration while mails leave at once, slowly, and not at all."""
    smtp = warren.stack.smtp
    found = {"instant": _registrations(warren, count)}
    smtp.disturb(SLOW_MAIL_SERVER)
    found["slow"] = _registrations(warren, count)
    smtp.calm()
    smtp.shut()
    found["dead"] = _registrations(warren, count)
    smtp.open()
    _await_mails(warren)
    return found


def growth(warren: Warren, jobs: int) -> dict[str, Any]:
    """Compare an empty installation with one that has seen, or holds, a lot."""
    measured = {"empty": measures.throughput(warren, jobs)}
    _fill(warren, QUEUE, WAITING)
    measured[f"{WAITING} waiting"] = measures.throughput(warren, jobs)
    warren.stack.execute("DELETE FROM messaging_outboxmessage WHERE due_at > now()")
    warren.stack.execute("DELETE FROM jobs_job WHERE state = 'queued'")
    _fill(warren, MILLION, ROWS)
    measured[f"{ROWS} rows"] = measures.throughput(warren, jobs)
    return measured


def _registrations(warren: Warren, count: int) -> dict[str, float]:
    answered = measures.registrations(warren.port, count)
    centiles = quantiles(answered.latencies, n=100)
    return {"p50": 1000 * centiles[49], "p99": 1000 * centiles[98]}


def _await_mails(warren: Warren) -> None:
    unsent = "SELECT id FROM mail_email WHERE state IN ('queued', 'retrying', 'sending')"
    poll(lambda: not warren.stack.rows(unsent), what="end of all mails", deadline=300)


def _fill(warren: Warren, statement: str, rows: int) -> None:
    names = {row["column_name"] for row in warren.stack.rows(COLUMNS)} - OWN
    warren.stack.execute(statement.format(columns=", ".join(sorted(names)), rows=rows))
    warren.stack.execute("ANALYZE")
